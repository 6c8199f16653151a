using System.CommandLine;
using Dpo.Samples;
using Spectre.Console;
using static TorchSharp.torch;

namespace Dpo.Benchmarks;

/// <summary>What to measure: the attention of all layers over batches, shared prompts or one padded batch.</summary>
internal sealed record AttentionRequest(string Shape, bool Padded, PairLengths[][] Batches);

/// <summary><c>attention</c>: attention alone, and what sharing the prompt is worth alone.</summary>
internal static class AttentionCommand
{
    public const string Child = "attention-child";

    public static Command Create()
    {
        var command = new Command("attention", "Attention alone against one padded call, and what sharing the prompt is worth alone.");
        var shape = ModelShapes.Option();
        var runs = CliOption.Whole("--runs", "Rounds over all rows; the smallest times count. [default: 3]");
        command.Options.Add(shape);
        var workload = new Workload(command);
        command.Options.Add(runs);
        command.SetAction(parsed =>
        {
            Run(parsed.GetValue(shape)!, workload.Batches(parsed), parsed.GetValue(runs) ?? 3);
            Sharing.Run(parsed.GetValue(shape)!, parsed.GetValue(runs) ?? 3);
        });
        return command;
    }

    private static void Run(string shape, PairLengths[][] batches, int runs)
    {
        AttentionRequest[] requests = [new(shape, Padded: true, batches), new(shape, Padded: false, batches)];
        var measured = ChildProcess.RoundRobin(Child, requests, runs);
        var table = Report.Table("attention of all layers, forward and backward", "ms a batch", "user CPU ms", "peak MB", "speed-up");
        foreach (var (request, measurement) in requests.Zip(measured))
        {
            table.AddRow(
                request.Padded ? "prompt in front of each completion, padded" : "shared prompt", $"{1e3 * measurement.Seconds.Average():0}",
                $"{1e3 * measurement.UserSeconds.Average():0}", $"{measurement.PeakBytes / 1e6:0}",
                $"{measured[0].TotalSeconds / measurement.TotalSeconds:0.00}×");
        }
        Report.Show(table);
    }

    public static Measurement Measure(AttentionRequest request)
    {
        var shape = ModelShapes.Config(request.Shape);
        PairLengths[][] batches = [[new PairLengths(2, 2, 2)], .. request.Batches];
        var inputs = batches.Select(batch => Inputs(
            request.Padded ? 2L * batch.Length * batch.Max(pair => pair.Longest) : Layout(batch).RowCount)).ToArray();
        Step(0);
        return new Probe().Run(request.Batches.Length, index => Step(index + 1), before: () => { });

        double Step(int index)
        {
            using var scope = NewDisposeScope();
            var batch = batches[index];
            Attention attention = request.Padded
                ? new PaddedAttention(2 * batch.Length, batch.Max(pair => pair.Longest))
                : new SharedPromptAttention(Layout(batch), CPU);

            for (var layer = 0; layer < shape.LayerCount; layer++)
            {
                using var layerScope = NewDisposeScope();
                var parts = inputs[index].Projected.unbind(1);
                attention.Attend(layer, parts[0], parts[1], parts[2]).backward([inputs[index].Gradient]);
            }
            return 0;
        }

        // As a block makes them: query, key and value are thirds of one projection.
        (Tensor Projected, Tensor Gradient) Inputs(long rows) => (
            randn([rows, 3, shape.HeadCount, shape.HiddenSize / shape.HeadCount], requires_grad: true),
            randn([rows, shape.HiddenSize]));
    }

    private static SequenceLayout Layout(IEnumerable<PairLengths> batch) =>
        new([.. batch.Select(pair => new ExampleLengths(pair.Prompt, [pair.Chosen, pair.Rejected]))]);
}
