using System.CommandLine;
using Dpo.Samples;

namespace Dpo.Benchmarks;

/// <summary><c>step</c>: a step of DPO in four ways.</summary>
internal static class StepCommand
{
    public const string Child = "step-child";
    public const string ReferenceAlgorithm = "reference-algorithm";
    public const string Live = "live";
    public const string Cached = "cached";
    public const string CachedBf16 = "cached-bf16";

    private const double LossTolerance = 1e-4;

    private static readonly string[] Rows = [ReferenceAlgorithm, Live, Cached, CachedBf16];

    public static Command Create()
    {
        var command = new Command("step", "A step of DPO: policy, reference, loss and backward, without the optimizer's update.");
        var shape = ModelShapes.Option();
        var json = CliOption.Path("--json", "FILE", "Also write the figures as JSON.");
        var runs = CliOption.Whole("--runs", "Rounds over all rows; the smallest times count. [default: 3]");
        command.Options.Add(shape);
        var workload = new Workload(command);
        command.Options.Add(json);
        command.Options.Add(runs);
        command.SetAction(parsed => Run(parsed.GetValue(shape)!, workload.Batches(parsed), parsed.GetValue(runs) ?? 3, parsed.GetValue(json)));
        return command;
    }

    private static void Run(string shape, PairLengths[][] batches, int runs, string? json)
    {
        var (sgemm, sgemmBf16) = (0.0, 0.0);
        StepRequest[] requests = [.. Rows.Select(row => new StepRequest(shape, row, batches))];
        var measured = ChildProcess.RoundRobin(Child, requests, runs, inRound: () =>
        {
            sgemm = Math.Max(sgemm, GemmPeak.InChild(bf16: false));
            sgemmBf16 = Math.Max(sgemmBf16, GemmPeak.InChild(bf16: true));
        });
        RequireEqualLosses(measured);

        var byName = Rows.Zip(measured).ToDictionary(row => row.First, row => row.Second);
        var report = new StepReport(ModelShapes.Config(shape), batches, byName, sgemm, sgemmBf16);
        report.Print(shape);
        if (json is not null)
            report.Save(json);
    }

    /// <summary>Refuses to compare rows that did not compute the same.</summary>
    private static void RequireEqualLosses(IReadOnlyList<Measurement> measured)
    {
        foreach (var (row, measurement) in Rows.Zip(measured).Where(row => row.First != CachedBf16))
        {
            foreach (var (loss, expected) in measurement.Values.Zip(measured[0].Values))
            {
                if (!(Math.Abs(loss - expected) <= LossTolerance))
                    throw new InvalidInputException(
                        $"The losses differ: {expected} for {ReferenceAlgorithm} and {loss} for {row}; a speed of other numbers says nothing.");
            }
        }
    }
}
