using Dpo.Batching;
using Dpo.LogProbs;
using static TorchSharp.torch;

namespace Dpo.Losses;

/// <summary>What a loss is a function of: the log-probabilities of a batch's completions, and what is known of these.</summary>
/// <param name="Policy">The policy's; gradients flow into <see cref="CompletionLogProbs.PerToken"/>.</param>
/// <param name="Reference">The reference's; null where the loss does without
/// (<see cref="IPreferenceLoss.UsesReference"/>).</param>
/// <param name="Preferences">Pairs, rankings, labels and scores of the completions.</param>
public sealed record PreferenceLogProbs(CompletionLogProbs Policy, CompletionLogProbs? Reference, PreferenceTensors Preferences)
{
    /// <summary>log π(y|x) − log π_ref(y|x) of every completion, <c>[S]</c>; no gradient flows into the reference.</summary>
    /// <exception cref="InvalidOperationException">There is no reference.</exception>
    public Tensor LogRatios => Policy.Sums - (Reference ?? throw NoReference()).Sums.detach();

    /// <summary>The policy's KL from the reference at every completion's positions, added up, <c>[S]</c>; null unless a loss
    /// needs it.</summary>
    internal Tensor? ReferenceKlSums =>
        Policy.ReferenceKl is { } perToken ? new CompletionLogProbs(perToken, Policy.Offsets).Sums : null;

    /// <summary>The same values, pair by pair. A completion in several pairs was computed once.</summary>
    public PairLogProbs Pairs()
    {
        // index_select's backward adds in a fixed order; that of tensor indexing does not.
        Tensor Chosen(Tensor values) => values.index_select(0, Preferences.Chosen);
        Tensor Rejected(Tensor values) => values.index_select(0, Preferences.Rejected);
        var kls = ReferenceKlSums;
        return new PairLogProbs(
            Chosen(Policy.Sums), Rejected(Policy.Sums),
            Reference is null ? null : Chosen(Reference.Sums.detach()),
            Reference is null ? null : Rejected(Reference.Sums.detach()),
            Chosen(Policy.Counts), Rejected(Policy.Counts),
            Preferences.Scores is null ? null : Chosen(Preferences.Scores),
            Preferences.Scores is null ? null : Rejected(Preferences.Scores))
        {
            ChosenKl = kls is null ? null : Chosen(kls),
            RejectedKl = kls is null ? null : Rejected(kls),
        };
    }

    internal static InvalidOperationException NoReference() => new(
        "The loss compares the policy with a reference, and no log-probabilities of a reference were given.");
}
