using static TorchSharp.torch;

namespace Dpo.Tests;

/// <summary>A training run in a process of its own, which is this test program started with a folder (with
/// <see cref="KilledReference"/> the reference's computation): it goes on from the folder's
/// newest checkpoint, and writes a character for every step and for every piece of a file, so that it can be killed at any of
/// them.</summary>
internal static class KilledRun
{
    public const char StepMade = '.';
    public const char PieceWritten = 'w';

    /// <summary>More than the interrupted runs of <see cref="KillTests"/> make together.</summary>
    private const int Steps = 48;

    private static int Main(string[] args)
    {
        if (args is [var folder, KilledReference.Argument])
            KilledReference.Run(folder);
        else
            Run(args[0]);
        return 0;
    }

    private static void Run(string folder)
    {
        manual_seed(7);
        AtomicFile.Through = stream => new NoisyStream(stream);
        var checkpoints = Path.Combine(folder, "checkpoints");
        var options = TrainerTests.Options with
        {
            Steps = Steps,
            LearningRate = 1e-2,
            BatchSize = 5,
            MicroBatchSize = 2,
            Optimizer = OptimizerKind.AdamW,
            EvaluateFirst = true,
            EvaluateEvery = 3,
            MoveReferenceEvery = 5,
            Checkpoints = new() { Folder = checkpoints, Every = 3, KeepBest = new("eval_loss") },
            ResumeFrom = Checkpoints.Latest(checkpoints),
        };
        var model = new Gpt2(TrainerTests.Shape with { LayerCount = 1 }, seed: 5);
        model.AddLora(LoraModels.Options with { Dropout = 0.3 });
        using var pair = new PolicyReferencePair(model);
        using var trainer = new DpoTrainer(pair, options: options);
        using var metrics = new MetricsFile(folder, Checkpoints.LastReportedStep(options.ResumeFrom));
        trainer.Train(TrainerTests.Data(12), TrainerTests.Data(3, seed: 1), new TrainerTests.Callback(step =>
        {
            // A draw from the process's generator, as a module of the user's own may make.
            using var draw = rand(1);
            step = step with { Values = new Dictionary<string, double>(step.Values) { ["draw"] = draw.item<float>() } };
            metrics.Report(step);
            Console.Out.Write(StepMade);
        }));
    }

    /// <summary>A disk so slow that a process can be killed between two pieces.</summary>
    internal sealed class NoisyStream(Stream inner) : PassingStream(inner)
    {
        protected override void Passing(int bytes)
        {
            Console.Out.Write(PieceWritten);
            Thread.Sleep(1);
        }
    }
}
