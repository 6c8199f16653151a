using System.Diagnostics;
using Spectre.Console;
using static TorchSharp.torch;

namespace Dpo.Benchmarks;

/// <summary>What to measure: sampling of a batch at temperature 1, in bf16.</summary>
internal sealed record DeviceGenerationRequest(string Shape, string Device, int Batch, int NewTokens);

/// <summary>A row of the table, as JSON has it.</summary>
internal sealed record DeviceGenerationRow(string Shape, int Batch, string? Failure, double? TokensPerS);

/// <summary>Measures sampling, prompts included, and shows it.</summary>
internal static class DeviceGeneration
{
    public const string Child = "device-generation-child";

    private const int PromptTokens = 32;

    /// <summary>Measures all rows, each in a process of its own, and shows them.</summary>
    public static DeviceGenerationRow[] Show(string device, bool quick)
    {
        (string Shape, int Batch)[] requests = quick
            ? [("gpt2-quick", 2)]
            : [.. from shape in (string[])["gpt2-124m", "llama-1b"] from batch in (int[])[1, 32, 256] select (shape, batch)];
        var table = Report.Table("generation", "batch", "tokens/s");
        var rows = Array.ConvertAll(requests, request =>
        {
            var (shape, batch) = request;
            var attempt = Attempt<double>.To(() =>
                ChildProcess.Run<DeviceGenerationRequest, double>(Child, new(shape, device, batch, quick ? 8 : 128)));
            if (attempt.Failure is null)
                Console.Error.WriteLine($"{shape}, batch {batch}: {attempt.Value:0} tokens/s.");
            table.AddRow(shape, $"{batch}", attempt.Failure is { } failure ? Markup.Escape(failure) : $"{attempt.Value:0}");
            return new DeviceGenerationRow(shape, batch, attempt.Failure, attempt.Failure is null ? attempt.Value : null);
        });
        Report.Show(table);
        return rows;
    }

    /// <summary>Tokens a second.</summary>
    public static double Measure(DeviceGenerationRequest request)
    {
        var on = new Device(request.Device);
        using var model = DeviceModel.Draw(request.Shape, on);
        model.Precision = Precision.BFloat16;
        var random = new Random(0);
        var prompts = Enumerable.Range(0, request.Batch)
            .Select(_ => (IReadOnlyList<int>)[.. Enumerable.Range(0, PromptTokens).Select(_ => random.Next(model.VocabularySize))]).ToArray();
        var options = new SamplingOptions { MaxNewTokens = request.NewTokens, BatchSize = request.Batch };
        // Once for nothing: code is compiled, and memory taken.
        Sampler.Sample(model, prompts, options);
        DeviceMemory.Wait(on);
        var clock = Stopwatch.StartNew();
        var tokens = Sampler.Sample(model, prompts, options).Sum(each => each.Tokens.Count);
        DeviceMemory.Wait(on);
        return tokens / clock.Elapsed.TotalSeconds;
    }
}
