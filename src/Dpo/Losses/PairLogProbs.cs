using static TorchSharp.torch;

namespace Dpo.Losses;

/// <summary>What the loss of pairs is a function of: one value for each pair in each tensor, <c>[P]</c>.</summary>
/// <param name="PolicyChosen">log π of the chosen completion, summed over its tokens.</param>
/// <param name="PolicyRejected">log π of the rejected completion.</param>
/// <param name="ReferenceChosen">log π_ref of the chosen completion; null where the loss does without a reference.</param>
/// <param name="ReferenceRejected">log π_ref of the rejected completion.</param>
/// <param name="ChosenCounts">Tokens of the chosen completion, n_w; null where they are not known, which losses that divide by
/// them refuse.</param>
/// <param name="RejectedCounts">Tokens of the rejected completion, n_l.</param>
/// <param name="ChosenScores">The score that data give the chosen completion; null where not every completion has one.</param>
/// <param name="RejectedScores">The score of the rejected completion.</param>
public sealed record PairLogProbs(
    Tensor PolicyChosen,
    Tensor PolicyRejected,
    Tensor? ReferenceChosen = null,
    Tensor? ReferenceRejected = null,
    Tensor? ChosenCounts = null,
    Tensor? RejectedCounts = null,
    Tensor? ChosenScores = null,
    Tensor? RejectedScores = null)
{
    /// <summary>What each pair's loss is multiplied by, detached; null for 1. <see cref="WpoLoss"/> fills it in.</summary>
    public Tensor? Weights { get; init; }

    /// <summary>The policy's KL from the reference at the positions of the chosen completion, added up; null unless a loss needs
    /// it (<see cref="Tdpo1Loss"/>).</summary>
    public Tensor? ChosenKl { get; init; }

    /// <summary>The same for the rejected completion.</summary>
    public Tensor? RejectedKl { get; init; }

    /// <summary>Both KLs.</summary>
    /// <exception cref="InvalidOperationException">There are none.</exception>
    internal (Tensor Chosen, Tensor Rejected) ReferenceKls => (ChosenKl ?? throw NoKls(), RejectedKl ?? throw NoKls());

    /// <summary>r_w = log π − log π_ref of the chosen completion. No gradient flows into the reference.</summary>
    public Tensor ChosenRatios => PolicyChosen - (ReferenceChosen ?? throw PreferenceLogProbs.NoReference()).detach();

    /// <summary>r_l = log π − log π_ref of the rejected completion.</summary>
    public Tensor RejectedRatios => PolicyRejected - (ReferenceRejected ?? throw PreferenceLogProbs.NoReference()).detach();

    /// <summary>Δ = r_w − r_l.</summary>
    public Tensor Margins => ChosenRatios - RejectedRatios;

    /// <summary>log π_ref of the chosen completion less that of the rejected one.</summary>
    public Tensor ReferenceMargins => (ReferenceChosen ?? throw PreferenceLogProbs.NoReference()).detach()
        - (ReferenceRejected ?? throw PreferenceLogProbs.NoReference()).detach();

    /// <summary>The chosen completion's score less the rejected one's; null where they were not scored.</summary>
    public Tensor? ScoreGaps => ChosenScores is null || RejectedScores is null ? null : ChosenScores - RejectedScores;

    /// <summary>n_w − n_l.</summary>
    /// <exception cref="InvalidOperationException">The lengths are not known.</exception>
    public Tensor LengthGaps => (ChosenCounts ?? throw NoCounts()) - (RejectedCounts ?? throw NoCounts());

    /// <summary>Divides values of the chosen completions by their lengths.</summary>
    /// <exception cref="InvalidOperationException">The lengths are not known.</exception>
    public Tensor PerChosenToken(Tensor values) => values / (ChosenCounts ?? throw NoCounts());

    /// <summary>Divides values of the rejected completions by their lengths.</summary>
    /// <exception cref="InvalidOperationException">The lengths are not known.</exception>
    public Tensor PerRejectedToken(Tensor values) => values / (RejectedCounts ?? throw NoCounts());

    internal static InvalidOperationException NoKls() => new(
        "The loss takes the policy's KL from the reference, and none was given; compute the log-probabilities with what the " +
        "loss needs.");

    private static InvalidOperationException NoCounts() => new(
        "The loss divides by the completions' lengths, and these were not given.");
}
