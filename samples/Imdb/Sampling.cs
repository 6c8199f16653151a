namespace Dpo.Samples;

/// <summary>Continuations of prefixes, sampled in groups that bound the cache's memory.</summary>
internal static class Sampling
{
    private const int GroupSize = 256;

    /// <summary>One continuation for each prefix.</summary>
    public static IReadOnlyList<int>[] Continue(
        Transformer model, TextTokenizer tokenizer, IReadOnlyList<IReadOnlyList<int>> prefixes, ImdbSettings settings) =>
        [.. prefixes.Chunk(GroupSize).SelectMany((group, index) => Sampler.Sample(
            model, group, settings.MaxNewTokens, tokenizer.EndOfTextId, settings.Temperature, seed: settings.Seed + index))];
}
