using System.CommandLine;
using System.Diagnostics;
using System.Text.Json;
using Dpo.Samples;
using Spectre.Console;
using static TorchSharp.torch;

namespace Dpo.Benchmarks;

/// <summary>What to measure: samples of prompts.</summary>
internal sealed record BestOfRequest(string Shape, int Prompts, int Samples, bool BFloat16);

/// <summary>Seconds that it took, the tokens that were sampled, and the places that were computed for them.</summary>
internal sealed record BestOfMeasurement(double Seconds, long Tokens, long WantedPlaces, long ComputedPlaces);

/// <summary><c>best-of</c>: many samples of each prompt, whose lengths differ.</summary>
internal static class BestOfCommand
{
    public const string Child = "best-of-child";

    private const int PromptTokens = 32;
    private const int MaxNewTokens = 160;
    private const int MeanNewTokens = 40;

    public static Command Create()
    {
        var command = new Command("best-of", "Samples of geometric lengths: tokens a second, and how many of the computed places belong to a sequence.");
        var shape = ModelShapes.Option();
        var prompts = CliOption.Whole("--prompts", "Prompts. [default: 16]");
        var samples = CliOption.Whole("--samples", "Samples of each. [default: 64]");
        var runs = CliOption.Whole("--runs", "Rounds; the shortest counts. [default: 3]");
        var json = CliOption.Path("--json", "FILE", "Also write the figures as JSON.");
        command.Options.Add(shape);
        command.Options.Add(prompts);
        command.Options.Add(samples);
        command.Options.Add(runs);
        command.Options.Add(json);
        command.SetAction(parsed => Run(
            parsed.GetValue(shape)!, parsed.GetValue(prompts) ?? 16, parsed.GetValue(samples) ?? 64, parsed.GetValue(runs) ?? 3, parsed.GetValue(json)));
        return command;
    }

    private static void Run(string shape, int prompts, int samples, int runs, string? json)
    {
        BestOfRequest[] requests = [.. ((bool[])[false, true]).Select(bf16 => new BestOfRequest(shape, prompts, samples, bf16))];
        var best = new BestOfMeasurement?[requests.Length];
        for (var round = 1; round <= runs; round++)
        {
            for (var row = 0; row < requests.Length; row++)
            {
                var measured = ChildProcess.Run<BestOfRequest, BestOfMeasurement>(Child, requests[row]);
                best[row] = best[row]?.Seconds <= measured.Seconds ? best[row] : measured;
            }
            Console.Error.WriteLine($"Round {round} of {runs}.");
        }

        var rows = requests.Zip(best, (request, measurement) => new
        {
            precision = request.BFloat16 ? "bf16" : "fp32",
            seconds = measurement!.Seconds,
            tokens = measurement.Tokens,
            tokens_per_second = measurement.Tokens / measurement.Seconds,
            live_share = (double)measurement.WantedPlaces / measurement.ComputedPlaces,
        }).ToArray();
        var table = Report.Table("precision", "seconds", "tokens", "tokens/s", "computed places that belong to a sequence");
        foreach (var row in rows)
            table.AddRow(row.precision, $"{row.seconds:0.0}", $"{row.tokens}", $"{row.tokens_per_second:0}", $"{row.live_share:P1}");
        Report.Line($"Best of {samples} for {prompts} prompts of {PromptTokens} tokens: {shape}, geometric lengths of mean {MeanNewTokens}, at most {MaxNewTokens}, {get_num_threads()} threads.");
        Report.Show(table);
        if (json is not null)
            File.WriteAllText(json, JsonSerializer.Serialize(new { shape, prompts, samples, threads = get_num_threads(), rows }) + "\n");
    }

    public static BestOfMeasurement Measure(BestOfRequest request)
    {
        using var model = new Gpt2(ModelShapes.Config(request.Shape)) { Precision = request.BFloat16 ? Precision.BFloat16 : Precision.Float32 };
        var random = new Random(0);
        var prompts = Enumerable.Range(0, request.Prompts).Select(_ => (IReadOnlyList<int>)[.. Enumerable.Range(0, PromptTokens).Select(_ => random.Next(model.VocabularySize))]).ToArray();
        // Random weights make all tokens about equally likely: each is the last with a probability of one in the mean.
        int[] ends = [.. Enumerable.Range(0, model.VocabularySize / MeanNewTokens).Select(index => index * MeanNewTokens)];
        var options = new SamplingOptions { MaxNewTokens = MaxNewTokens, SamplesPerPrompt = request.Samples, EndOfTextIds = ends };

        // .NET compiles the code of a loop anew, and faster, after it has run for a while.
        Complete(prompts[..1], out _);
        var clock = Stopwatch.StartNew();
        var sampled = Complete(prompts, out var places);
        return new BestOfMeasurement(clock.Elapsed.TotalSeconds, sampled.Sum(sample => (long)sample.Tokens.Count), sampled.Sum(sample => sample.Tokens.Count - 1L), places);

        IReadOnlyList<SampledCompletion> Complete(IReadOnlyList<int>[] prompts, out long places)
        {
            using var noGrad = no_grad();
            using var run = new SamplingRun(model, prompts, options, null, null, CancellationToken.None);
            var sampled = run.Complete();
            places = run.ComputedPlaces;
            return sampled;
        }
    }
}
