namespace Dpo.Samples;

/// <summary>Continuations of prefixes.</summary>
internal static class Sampling
{
    /// <summary>Sequences that are sampled at once.</summary>
    public const int BatchSize = 256;

    /// <summary>How the models themselves write: at temperature 1, whatever preferences were drawn at.</summary>
    public static SamplingOptions Of(ImdbSettings settings) =>
        new() { MaxNewTokens = settings.MaxNewTokens, BatchSize = BatchSize, Seed = settings.Seed };

    /// <summary>Four continuations of each prefix, those of the first prefix first.</summary>
    public static IReadOnlyList<int>[] Continue(
        TransformerModel model, TextTokenizer tokenizer, IReadOnlyList<IReadOnlyList<int>> prefixes, ImdbSettings settings,
        CancellationToken cancellationToken)
    {
        var options = Of(settings) with { Temperature = settings.Temperature, SamplesPerPrompt = 4 };
        var sampled = Sampler.Sample(model, prefixes, options, tokenizer, cancellationToken: cancellationToken);
        return [.. sampled.Select(generation => generation.Tokens)];
    }
}
