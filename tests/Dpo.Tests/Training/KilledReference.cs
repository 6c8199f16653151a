namespace Dpo.Tests;

/// <summary>The computation of reference log-probabilities in a process of its own, which writes a character for every batch, and may end
/// after so many bytes of the file that is made of them: where it is given 0 steps, all batches are there already.</summary>
internal static class KilledReference
{
    public const string Argument = "reference";
    public const string FileName = "reference.safetensors";

    /// <summary>Some 40 batches.</summary>
    public const int Count = 90;
    public const int MaxTokens = 60;

    public static void Run(string folder, (int Steps, long Bytes)? end)
    {
        if (end is { Steps: 0, Bytes: var atOnce })
            FileSizeLimit.Set(atOnce);
        using var pair = new PolicyReferencePair(new Gpt2(TrainerTests.Shape, seed: 5));
        ReferenceLogProbs.LoadOrCompute(Path.Combine(folder, FileName), pair, TrainerTests.Data(Count), MaxTokens, new Noise(end?.Bytes));
    }

    private sealed class Noise(long? end) : IProgress<int>
    {
        public void Report(int value)
        {
            Console.Out.Write(KilledRun.StepMade);
            if (value == Count && end is { } bytes)
                FileSizeLimit.Set(bytes);
        }
    }
}
