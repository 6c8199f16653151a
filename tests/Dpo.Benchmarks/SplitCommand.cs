using System.CommandLine;
using Dpo.Samples;
using Spectre.Console;
using static TorchSharp.torch;

namespace Dpo.Benchmarks;

/// <summary>What to measure: batches cut into micro-batches of so many tokens.</summary>
internal sealed record SplitRequest(string Shape, int MaxTokens, PairLengths[][] Batches);

/// <summary><c>split</c>: what the token budget of a micro-batch costs in time and memory; its default is chosen by this.</summary>
internal static class SplitCommand
{
    public const string Child = "split-child";

    private static readonly int[] Budgets = [512, 1024, 2048, 4096, 8192, 16384];

    public static Command Create()
    {
        var command = new Command("split", "The policy's log-probabilities and their backward, by the token budget of a micro-batch.");
        var shape = ModelShapes.Option();
        var runs = CliOption.Whole("--runs", "Rounds over all rows; the smallest times count. [default: 3]");
        command.Options.Add(shape);
        var workload = new Workload(command);
        command.Options.Add(runs);
        command.SetAction(parsed => Run(parsed.GetValue(shape)!, workload.Batches(parsed), parsed.GetValue(runs) ?? 3));
        return command;
    }

    private static void Run(string shape, PairLengths[][] batches, int runs)
    {
        SplitRequest[] requests = [.. Budgets.Select(budget => new SplitRequest(shape, budget, batches))];
        var measured = ChildProcess.RoundRobin(Child, requests, runs);
        var fastest = measured.Min(measurement => measurement.TotalSeconds);
        var tokens = batches.Sum(batch => batch.Sum(pair => pair.UsefulTokens));
        var table = Report.Table("tokens of a micro-batch", "useful tokens/s", "time over the fastest", "peak MB above weights");
        foreach (var (request, measurement) in requests.Zip(measured))
            table.AddRow(
                $"{request.MaxTokens}", $"{tokens / measurement.TotalSeconds:0}", $"{measurement.TotalSeconds / fastest:0.00}",
                $"{measurement.PeakBytes / 1e6:0}");
        Report.Show(table);
    }

    public static Measurement Measure(SplitRequest request)
    {
        var shape = ModelShapes.Config(request.Shape);
        using var policy = new Gpt2(shape);
        PairLengths[][] all = [[new PairLengths(2, 2, 2)], .. request.Batches];
        var batches = all.Select(lengths => Workload.Batch(lengths, shape.VocabularySize)).ToArray();
        Step(0);
        policy.StandWithGradients();
        return new Probe().Run(request.Batches.Length, index => Step(index + 1), before: () => policy.zero_grad());

        double Step(int index)
        {
            var sum = 0.0;
            foreach (var part in batches[index].Split(request.MaxTokens))
            {
                using var scope = NewDisposeScope();
                var ofPart = CompletionLogProbs.Compute(policy, part.To(CPU)).PerToken.sum();
                ofPart.backward();
                sum += ofPart.item<float>();
            }
            return sum;
        }
    }
}
