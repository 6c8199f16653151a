namespace Dpo.Samples;

/// <summary>Continuations of prefixes.</summary>
internal static class Sampling
{
    private const int BatchSize = 256;

    /// <summary>Some continuations of each prefix, those of the first prefix first.</summary>
    public static IReadOnlyList<int>[] Continue(
        TransformerModel model, TextTokenizer tokenizer, IReadOnlyList<IReadOnlyList<int>> prefixes, ImdbSettings settings,
        CancellationToken cancellationToken, int samples = 1)
    {
        var options = new SamplingOptions
        {
            MaxNewTokens = settings.MaxNewTokens,
            Temperature = settings.Temperature,
            SamplesPerPrompt = samples,
            BatchSize = BatchSize,
            Seed = settings.Seed,
        };
        var sampled = Sampler.Sample(model, prefixes, options, tokenizer, cancellationToken: cancellationToken);
        return [.. sampled.Select(generation => generation.Tokens)];
    }
}
