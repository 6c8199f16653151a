using static TorchSharp.torch;

namespace Dpo.Tests;

/// <summary>A training run in a process of its own, which is this test program started with a folder (with
/// <see cref="KilledReference"/> the reference's computation): it goes on from the folder's newest checkpoint, and writes a character
/// for every step, so that it can be killed behind any of them. Where it is given a step and a number of bytes, it ends in the middle
/// of the first file beyond them that it writes behind so many steps.</summary>
internal static class KilledRun
{
    public const char StepMade = '.';

    /// <summary>More than the interrupted runs of <see cref="KillTests"/> make together.</summary>
    private const int Steps = 72;

    private static int Main(string[] args)
    {
        (int Steps, long Bytes)? end = args is [.., var steps, var bytes] && int.TryParse(steps, out var after) ? (after, long.Parse(bytes, null)) : null;
        if (args is [var folder, KilledReference.Argument, ..])
            KilledReference.Run(folder, end);
        else
            Run(args[0], end);
        return 0;
    }

    private static void Run(string folder, (int Steps, long Bytes)? end)
    {
        manual_seed(7);
        var made = 0;
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
            if (++made == end?.Steps)
                FileSizeLimit.Set(end.Value.Bytes);
        }));
    }
}
