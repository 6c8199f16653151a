using System.CommandLine;
using Dpo.Samples;
using Spectre.Console;
using static TorchSharp.torch;

namespace Dpo.Benchmarks;

/// <summary>What to measure: updates of a model's parameters by the library's optimizer or by TorchSharp's.</summary>
internal sealed record OptimizerRequest(string Shape, OptimizerKind Kind, bool TorchSharps);

/// <summary><c>optimizer</c>: an update of all parameters.</summary>
internal static class OptimizerCommand
{
    public const string Child = "optimizer-child";

    private const int Steps = 5;

    public static Command Create()
    {
        var command = new Command("optimizer", "An update of all parameters, by the library's optimizers and by TorchSharp's.");
        var shape = ModelShapes.Option();
        var runs = CliOption.Whole("--runs", "Rounds over all rows; the smallest times count. [default: 3]");
        command.Options.Add(shape);
        command.Options.Add(runs);
        command.SetAction(parsed => Run(parsed.GetValue(shape)!, parsed.GetValue(runs) ?? 3));
        return command;
    }

    private static void Run(string shape, int runs)
    {
        OptimizerRequest[] requests = [.. Enum.GetValues<OptimizerKind>().SelectMany(kind => new[]
        {
            new OptimizerRequest(shape, kind, TorchSharps: true), new OptimizerRequest(shape, kind, TorchSharps: false),
        })];
        var measured = ChildProcess.RoundRobin(Child, requests, runs);

        var table = Report.Table("optimizer", "whose", "ms", "user CPU ms", "peak MB above weights and gradients", "speed-up");
        foreach (var (request, measurement) in requests.Zip(measured))
        {
            var torchSharps = requests.Zip(measured).Single(row => row.First == request with { TorchSharps = true }).Second;
            table.AddRow(
                $"{request.Kind}", request.TorchSharps ? "TorchSharp's" : "the library's", $"{1e3 * measurement.Seconds.Min():0}",
                $"{1e3 * measurement.UserSeconds.Min():0}", $"{measurement.PeakBytes / 1e6:0}",
                $"{torchSharps.Seconds.Min() / measurement.Seconds.Min():0.00}×");
        }
        Report.Show(table);
    }

    public static Measurement Measure(OptimizerRequest request)
    {
        using var model = new Gpt2(ModelShapes.Config(request.Shape));
        model.StandWithGradients();
        var probe = new Probe();
        using var optimizer = Create(request, [.. model.parameters()]);
        return probe.Run(Steps, _ =>
        {
            using var scope = NewDisposeScope();
            optimizer.step();
            return 0;
        }, before: () => { });
    }

    private static optim.Optimizer Create(OptimizerRequest request, TorchSharp.Modules.Parameter[] parameters)
    {
        const double LearningRate = 1e-6;
        return (request.TorchSharps, request.Kind) switch
        {
            (false, _) => request.Kind.Create(parameters, LearningRate),
            (true, OptimizerKind.RmsProp) => optim.RMSProp(parameters, LearningRate),
            (true, _) => optim.AdamW(parameters, LearningRate),
        };
    }
}
