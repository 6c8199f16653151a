namespace Dpo.Tests;

/// <summary>The computation of reference log-probabilities in a process of its own, which writes a character for every batch and for every
/// piece of the file that is made of them.</summary>
internal static class KilledReference
{
    public const string Argument = "reference";
    public const string FileName = "reference.safetensors";

    /// <summary>Some 40 batches.</summary>
    public const int Count = 90;
    public const int MaxTokens = 60;

    public static void Run(string folder)
    {
        AtomicFile.Through = stream => new KilledRun.NoisyStream(stream);
        using var pair = new PolicyReferencePair(new Gpt2(TrainerTests.Shape, seed: 5));
        ReferenceLogProbs.LoadOrCompute(Path.Combine(folder, FileName), pair, TrainerTests.Data(Count), MaxTokens, new Noise());
    }

    private sealed class Noise : IProgress<int>
    {
        public void Report(int value) => Console.Out.Write(KilledRun.StepMade);
    }
}
