using System.Diagnostics;
using static TorchSharp.torch;

namespace Dpo.Benchmarks;

/// <summary>What to measure: sampling of a batch at temperature 1, in bf16.</summary>
internal sealed record DeviceGenerationRequest(string Shape, string Device, int Batch, int NewTokens);

/// <summary>Measures sampling, prompts included.</summary>
internal static class DeviceGeneration
{
    public const string Child = "device-generation-child";

    private const int PromptTokens = 32;

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
