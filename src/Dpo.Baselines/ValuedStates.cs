using Dpo.Batching;
using Dpo.LogProbs;
using Dpo.Native;
using Dpo.Tokenization;
using static TorchSharp.torch;

namespace Dpo.Baselines;

/// <summary>Which states of a completion are valued: the one before each of its tokens and, where the score is given there, the
/// one behind the last.</summary>
internal sealed class ValuedStates(ActorCritic models, PpoOptions options)
{
    private static readonly LogProbsRequest entropies = new() { Statistics = true };

    /// <summary>How many there are of a completion.</summary>
    public int CountOf(TokenizedExample example) => example.Completions[0].Count + (EndsEarly(example) ? 1 : 0);

    /// <summary>Measures completions, one an example.</summary>
    /// <returns>log π of every token, <c>[M]</c>; the entropy of what each was drawn from, <c>[M]</c>, where metrics are
    /// detailed; the value of every state. All fp32.</returns>
    public (Tensor LogProbs, Tensor? Entropies, Tensor Values) Measure(IReadOnlyList<TokenizedExample> examples)
    {
        // A layout computes no row for a completion's last token. Where the state behind it is valued the completion is laid as
        // if there were one more token, of which nothing but that row is used.
        var laid = new PreferenceBatch([.. examples.Select(example => EndsEarly(example)
            ? new TokenizedExample(example.Prompt, [[.. example.Completions[0], 0]], [])
            : example)]).To(models.Device);
        var (logProbs, values) = models.Measure(laid, options.DetailedMetrics ? entropies : null);
        var (perToken, ofTokens) = (logProbs.PerToken, logProbs.Statistics?.Entropies);
        if (!examples.Any(EndsEarly))
            return (perToken, ofTokens, values);
        var tokens = DeviceCopy.Of(
            [.. examples.Zip(laid.Layout.CompletionOffsets, (example, first) =>
                Enumerable.Range(first, example.Completions[0].Count)).SelectMany(places => places).Select(place => (long)place)],
            models.Device);
        return (perToken.index_select(0, tokens), ofTokens?.index_select(0, tokens), values);
    }

    private bool EndsEarly(TokenizedExample example) =>
        options.ScorePosition == ScorePosition.AfterLastToken && example.Completions[0].Count < options.Sampling.MaxNewTokens;
}
