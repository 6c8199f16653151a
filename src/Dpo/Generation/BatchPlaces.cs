namespace Dpo;

/// <summary>
/// Which sequence is computed at which place of a batch: prompt by prompt, equally many of each. A sequence that has ended
/// leaves its place computing for nothing, until enough places do.
/// </summary>
/// <param name="sequences">The sequences, <c>[P · K]</c>.</param>
/// <param name="samples">K.</param>
internal sealed class BatchPlaces(IReadOnlyList<SampledSequence> sequences, int samples)
{
    private SampledSequence?[] places = [.. sequences];
    private int samples = samples;

    /// <summary>The number that decides each place's next token.</summary>
    public float[] Uniforms() => [.. places.Select(sequence => sequence?.NextUniform ?? 0)];

    /// <summary>Adds a token to every sequence.</summary>
    /// <returns>Whether any goes on.</returns>
    public bool Append(long[] ids, float[] logProbs)
    {
        for (var place = 0; place < places.Length; place++)
        {
            if (places[place]?.Append((int)ids[place], logProbs[place]) == true)
                places[place] = null;
        }
        return places.Any(sequence => sequence is not null);
    }

    /// <summary>Closes the ranks where that halves the places.</summary>
    /// <returns>The prompts and places that stay; null where all do.</returns>
    public (IReadOnlyList<int> Prompts, IReadOnlyList<int> Places)? Compact()
    {
        var ofPrompts = Enumerable.Range(0, places.Length).Chunk(samples)
            .Select(ofPrompt => ofPrompt.Where(place => places[place] is not null).ToArray()).ToArray();
        var prompts = Enumerable.Range(0, ofPrompts.Length).Where(prompt => ofPrompts[prompt].Length > 0).ToArray();
        var most = ofPrompts.Max(ofPrompt => ofPrompt.Length);
        if (prompts.Length * most > places.Length / 2)
            return null;

        // A prompt with fewer sequences left than another computes one of them several times.
        var kept = prompts.SelectMany(prompt => Enumerable.Range(0, most).Select(index => (
            Place: ofPrompts[prompt][Math.Min(index, ofPrompts[prompt].Length - 1)],
            IsLive: index < ofPrompts[prompt].Length))).ToArray();
        (places, samples) = ([.. kept.Select(entry => entry.IsLive ? places[entry.Place] : null)], most);
        return (prompts, [.. kept.Select(entry => entry.Place)]);
    }
}
