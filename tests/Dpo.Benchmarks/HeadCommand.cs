using System.CommandLine;
using Dpo.Samples;
using Spectre.Console;
using static TorchSharp.torch;

namespace Dpo.Benchmarks;

/// <summary>What to measure: log-probabilities of this many tokens, by the library or by a plain log-softmax.</summary>
internal sealed record HeadRequest(int Rows, bool Plain);

/// <summary><c>head</c>: from hidden states to log-probabilities and back, GPT-2 124M's width and vocabulary.</summary>
internal static class HeadCommand
{
    public const string Child = "head-child";

    private const int Width = 768;
    private const int Vocabulary = 50257;
    private const int Steps = 3;

    private static readonly int[] RowCounts = [2048, 8192];

    public static Command Create()
    {
        var command = new Command("head", "Log-probabilities and their backward from hidden states, GPT-2's head: time and memory.");
        var runs = CliOption.Whole("--runs", "Rounds over all rows; the smallest figures count. [default: 3]");
        command.Options.Add(runs);
        command.SetAction(parsed => Run(parsed.GetValue(runs) ?? 3));
        return command;
    }

    private static void Run(int runs)
    {
        HeadRequest[] requests = [.. RowCounts.SelectMany(rows => new[] { new HeadRequest(rows, Plain: true), new HeadRequest(rows, Plain: false) })];
        var sgemm = 0.0;
        var measured = ChildProcess.RoundRobin(Child, requests, runs, keepNothing: true,
            inRound: () => sgemm = Math.Max(sgemm, GemmPeak.InChild(bf16: false)));

        var table = Report.Table("tokens", "way", "ms", "of the peak", "peak MB", "bytes per token and vocabulary entry");
        foreach (var (request, measurement) in requests.Zip(measured))
        {
            var seconds = measurement.Seconds.Min();
            var entries = (double)request.Rows * Vocabulary;
            table.AddRow(
                $"{request.Rows}", request.Plain ? "log-softmax" : "library", $"{1e3 * seconds:0}", $"{6 * Width * entries / seconds / sgemm:P0}",
                $"{measurement.PeakBytes / 1e6:0.0}", $"{measurement.PeakBytes / entries:0.000}");
        }
        Report.Show(table);
        foreach (var plain in (bool[])[true, false])
        {
            // What one more token costs: free of what every size has in common, such as a chunk.
            var of = requests.Zip(measured).Where(row => row.First.Plain == plain).Select(row => row.Second.PeakBytes).ToArray();
            var slope = (of[^1] - of[0]) / ((double)(RowCounts[^1] - RowCounts[0]) * Vocabulary);
            Report.Line($"{(plain ? "log-softmax" : "library")}: {slope:0.000} bytes for every further token and vocabulary entry.");
        }
    }

    public static Measurement Measure(HeadRequest request)
    {
        using var generator = new Generator(0);
        using var model = new FixedHiddenStates(
            nn.Parameter(0.02f * randn([Vocabulary, Width], generator: generator)), nn.Parameter(randn([request.Rows, Width], generator: generator)));
        var targets = randint(0, Vocabulary, request.Rows, generator: generator, dtype: ScalarType.Int64);
        Step(8);
        model.StandWithGradients();
        return new Probe().Run(Steps, _ => Step(request.Rows), before: () => model.zero_grad());

        double Step(int rows)
        {
            using var scope = NewDisposeScope();
            var some = targets.split([rows, request.Rows - rows])[0];
            var perToken = request.Plain ? Plain(model.Hidden(rows), model.Head.Weight!, some) : Library(model, rows, some);
            var sum = perToken.sum();
            sum.backward();
            return sum.item<float>();
        }
    }

    private static Tensor Plain(Tensor hidden, Tensor weight, Tensor targets)
    {
        using var scope = NewDisposeScope();
        Tensor all;
        using (var logits = nn.functional.linear(hidden, weight))
            all = nn.functional.log_softmax(logits, 1);
        return all.gather(1, targets.unsqueeze(1)).MoveToOuterDisposeScope();
    }

    private static Tensor Library(FixedHiddenStates model, int rows, Tensor targets)
    {
        // A prompt of one token: the number of rows is that of the completion's tokens.
        var layout = new SequenceLayout([new ExampleLengths(1, [rows])]);
        return CompletionLogProbs.Compute(model, new BatchTensors(zeros(rows, int64), layout, targets, PreferenceTensors.Of([], CPU))).PerToken;
    }
}
