using System.CommandLine;
using Dpo.Samples;
using Spectre.Console;

namespace Dpo.Benchmarks;

/// <summary><c>lora</c>: what a step that trains an adapter takes, against one that trains all weights.</summary>
internal static class LoraCommand
{
    public const string Child = "lora-child";

    /// <summary>What an adapter's step may take beyond activations, over the weights.</summary>
    private const double Allowed = 1.15;

    public static Command Create()
    {
        var command = new Command("lora", "Memory and time of a whole step, with all weights trained and with an adapter.");
        var shape = ModelShapes.Option();
        var rank = CliOption.Whole("--rank", "The adapter's rank, over every linear layer of the blocks. [default: 16]");
        command.Options.Add(shape);
        command.Options.Add(rank);
        var workload = new Workload(command);
        var runs = CliOption.Whole("--runs", "Rounds over all rows; the smallest figures count. [default: 3]");
        command.Options.Add(runs);
        command.SetAction(parsed => Run(
            parsed.GetValue(shape)!, parsed.GetValue(rank) ?? 16, workload.Batches(parsed), parsed.GetValue(runs) ?? 3));
        return command;
    }

    private static void Run(string shape, int rank, PairLengths[][] batches, int runs)
    {
        var rows = Enum.GetValues<LoraRow>();
        LoraRequest[] requests = [.. rows.SelectMany(row => new[]
        {
            new LoraRequest(shape, row, rank, WholeStep: true, batches), new LoraRequest(shape, row, rank, WholeStep: false, batches),
        })];
        var measured = ChildProcess.RoundRobin(Child, requests, runs, keepNothing: true);
        var standing = rows.ToDictionary(row => row, row => Standing(shape, row, rank));

        var items = Report.Table("what stands, by arithmetic", "weights MB", "trained MB", "reference's copy MB", "gradients MB", "optimizer MB", "sum MB");
        foreach (var row in rows)
        {
            var (weights, trained) = standing[row];
            var copies = row == LoraRow.Full ? 3 : 4; // an adapter comes on top of the weights
            items.AddRow($"{row}", Megabytes(weights), Megabytes(trained), Megabytes(trained), Megabytes(trained), Megabytes(trained), Megabytes(weights + copies * trained));
        }
        Report.Show(items);

        var table = Report.Table("whole step", "s/step", "time of Full", "peak MB", "activations MB", "beyond activations MB", "over fp32 weights");
        var fullWeights = standing[LoraRow.Full].Weights;
        foreach (var (index, row) in rows.Index())
        {
            var (step, pass) = (measured[2 * index], measured[2 * index + 1]);
            // In the pass's process stand the weights and the gradients, which hold no activation.
            var (weights, trained) = standing[row];
            var activations = pass.PeakBytes - weights - (row == LoraRow.Full ? 1 : 2) * trained;
            var beyond = step.PeakBytes - activations;
            table.AddRow(
                $"{row}", $"{step.TotalSeconds / batches.Length:0.000}", $"{step.TotalSeconds / measured[0].TotalSeconds:0.00}×",
                Megabytes(step.PeakBytes), Megabytes(activations), Megabytes(beyond), $"{beyond / (double)fullWeights:0.000}");
        }
        Report.Show(table);
        Report.Line($"An adapter's step is to take at most {Allowed} of the weights beyond activations.");
    }

    /// <summary>Bytes of the frozen or full weights, and of what is trained.</summary>
    private static (long Weights, long Trained) Standing(string shape, LoraRow row, int rank)
    {
        using var policy = LoraWorker.Policy(shape, row, rank);
        long Bytes(bool trained) => policy.parameters()
            .Where(parameter => row == LoraRow.Full || parameter.requires_grad == trained).Sum(parameter => parameter.numel() * parameter.ElementSize);
        return (Bytes(trained: false), Bytes(trained: true));
    }

    private static string Megabytes(long bytes) => $"{bytes / 1e6:0}";
}
