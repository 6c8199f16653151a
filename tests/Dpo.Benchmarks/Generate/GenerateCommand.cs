using System.CommandLine;
using System.Diagnostics;
using System.Text.Json;
using Dpo.Samples;
using Spectre.Console;
using static TorchSharp.torch;

namespace Dpo.Benchmarks;

/// <summary>What to measure: generation of a batch, and the bare linear layers of the same model and batch.</summary>
internal sealed record GenerateRequest(string Shape, int Batch, bool BFloat16, bool Greedy);

/// <summary>Seconds of every token step: of generation, of the linear layers alone, and of reading the cache alone.</summary>
internal sealed record GenerateMeasurement(double[] Step, double[] Linear, double[] Cache)
{
    /// <summary>The smaller times of two runs: what disturbs a run only ever adds to it.</summary>
    public GenerateMeasurement Best(GenerateMeasurement other) =>
        new([.. Step.Zip(other.Step, Math.Min)], [.. Linear.Zip(other.Linear, Math.Min)], [.. Cache.Zip(other.Cache, Math.Min)]);
}

/// <summary><c>generate</c>: a token step of generation against the bare linear layers of one.</summary>
internal static class GenerateCommand
{
    public const string Child = "generate-child";

    private const int PromptTokens = 32;
    private const int NewTokens = 48;

    /// <summary>The first steps, which touch memory for the first time, are not counted.</summary>
    private const int WarmUp = 4;

    public static Command Create()
    {
        var command = new Command("generate", "A token step of generation with the key/value cache, against the bare linear layers of one.");
        var shape = ModelShapes.Option();
        var batch = new Option<int[]>("--batch")
        {
            Description = "Sequences at once, separated by commas. [default: 1,32]",
            HelpName = "N,N,…",
            CustomParser = result => Sizes(result.Tokens[0].Value) ?? Refuse(result),
        };
        var runs = CliOption.Whole("--runs", "Rounds over all rows; the smallest times count. [default: 3]");
        var json = CliOption.Path("--json", "FILE", "Also write the figures as JSON.");
        command.Options.Add(shape);
        command.Options.Add(batch);
        command.Options.Add(runs);
        command.Options.Add(json);
        command.SetAction(parsed => Run(
            parsed.GetValue(shape)!, parsed.GetResult(batch) is null ? [1, 32] : parsed.GetValue(batch)!, parsed.GetValue(runs) ?? 3, parsed.GetValue(json)));
        return command;

        static int[]? Sizes(string text)
        {
            var sizes = text.Split(',').Select(part => int.TryParse(part, out var size) ? size : 0).ToArray();
            return sizes.All(size => size >= 1) ? sizes : null;
        }

        static int[] Refuse(System.CommandLine.Parsing.ArgumentResult result)
        {
            result.AddError($"--batch {result.Tokens[0].Value}: the value must be whole numbers of at least 1, separated by commas");
            return [];
        }
    }

    private static void Run(string shape, int[] batches, int runs, string? json)
    {
        GenerateRequest[] requests =
        [
            .. from batch in batches
               from bf16 in (bool[])[false, true]
               from greedy in (bool[])[true, false]
               select new GenerateRequest(shape, batch, bf16, greedy),
        ];
        var best = new GenerateMeasurement?[requests.Length];
        for (var round = 1; round <= runs; round++)
        {
            for (var row = 0; row < requests.Length; row++)
            {
                var measured = ChildProcess.Run<GenerateRequest, GenerateMeasurement>(Child, requests[row]);
                best[row] = best[row]?.Best(measured) ?? measured;
            }
            Console.Error.WriteLine($"Round {round} of {runs}.");
        }

        var rows = requests.Zip(best, (request, measurement) => new
        {
            batch = request.Batch,
            precision = request.BFloat16 ? "bf16" : "fp32",
            draw = request.Greedy ? "greedy" : "temperature 1",
            step_ms = 1e3 * measurement!.Step.Average(),
            linear_ms = 1e3 * measurement.Linear.Average(),
            cache_ms = 1e3 * measurement.Cache.Average(),
            share = measurement.Linear.Sum() / measurement.Step.Sum(),
            most = measurement.Linear.Sum() / (measurement.Linear.Sum() + measurement.Cache.Sum()),
        }).ToArray();
        var table = Report.Table("batch", "precision", "draw", "ms a token step", "ms its linear layers alone", "ms reading the cache alone", "share", "at most", "tokens/s");
        foreach (var row in rows)
            table.AddRow($"{row.batch}", row.precision, row.draw, $"{row.step_ms:0.00}", $"{row.linear_ms:0.00}", $"{row.cache_ms:0.00}", $"{row.share:P1}", $"{row.most:P1}", $"{1e3 * row.batch / row.step_ms:0}");
        Report.Line($"Generation: {shape}, prompts of {PromptTokens} tokens, {NewTokens} new ones, {get_num_threads()} threads.");
        Report.Show(table);
        if (json is not null)
            File.WriteAllText(json, JsonSerializer.Serialize(new { shape, threads = get_num_threads(), rows }) + "\n");
    }

    public static GenerateMeasurement Measure(GenerateRequest request)
    {
        var config = ModelShapes.Config(request.Shape);
        using var model = new Gpt2(config) { Precision = request.BFloat16 ? Precision.BFloat16 : Precision.Float32 };
        var linear = new LinearLayers(model, request.Batch);
        using var cache = new CacheRead(config, request.Batch, PromptTokens + NewTokens, request.BFloat16 ? 2 : 4);
        var random = new Random(0);
        var prompts = Enumerable.Range(0, request.Batch).Select(_ => (IReadOnlyList<int>)[.. Enumerable.Range(0, PromptTokens).Select(_ => random.Next(model.VocabularySize))]).ToArray();
        var options = new SamplingOptions { MaxNewTokens = NewTokens, BatchSize = request.Batch, Temperature = request.Greedy ? 0 : 1 };

        // .NET compiles the code of a loop anew, and faster, after it has run for a while.
        Sampler.Sample(model, prompts, options);
        var (step, bare, read) = (new List<double>(), new List<double>(), new List<double>());
        var clock = new Stopwatch();
        var told = 0;
        // The last sequence's token ends a step. What runs in between is left out of its time.
        Sampler.Sample(model, prompts, options, onToken: _ =>
        {
            if (++told % request.Batch != 0)
                return;
            if (clock.IsRunning)
                step.Add(clock.Elapsed.TotalSeconds);
            clock.Restart();
            linear.Run();
            var linearTime = clock.Elapsed.TotalSeconds;
            clock.Restart();
            cache.Run(PromptTokens + told / request.Batch);
            if (told > request.Batch)
            {
                bare.Add(linearTime);
                read.Add(clock.Elapsed.TotalSeconds);
            }
            clock.Restart();
        });
        return new GenerateMeasurement([.. step.Skip(WarmUp)], [.. bare.Skip(WarmUp)], [.. read.Skip(WarmUp)]);
    }
}
