using Dpo.Batching;
using Dpo.LogProbs;
using Dpo.Native;
using static TorchSharp.torch;

namespace Dpo.Losses;

/// <summary>
/// The loss of Direct Preference Optimization (Rafailov et al. 2023, Eq. 7): −log σ(β·Δ), where Δ is the difference of the
/// chosen and the rejected completion's log-ratio log π(y|x) − log π_ref(y|x).
/// </summary>
/// <remarks>
/// <para>Takes log-probabilities of completions and indices of pairs into them, as the paper's listing in Appendix B does, so
/// that a completion in several pairs is computed once. <c>forward</c> is that form; <see cref="Losses(PairLogProbs)"/>
/// takes one chosen and one rejected value for every pair.</para>
/// <para>β·(log π − log π_ref) is the implicit reward: how much more the policy likes a completion than the reference does.
/// It is 0, and the loss ln 2, while the two are equal. The log-probability of chosen completions often falls during
/// training while the margin grows: only the difference is trained. An SFT term (<see cref="CombinedLoss"/>) holds it up.</para>
/// <para>TRL's <c>sigmoid</c> is this loss without label smoothing, which TRL does not apply to it.</para>
/// </remarks>
public sealed class DpoLoss : nn.Module<Tensor, Tensor, Tensor, Tensor, (Tensor Losses, Tensor Rewards)>, IPairLoss
{
    private readonly FDivergence divergence;

    /// <summary>Creates the loss.</summary>
    /// <param name="beta">β &gt; 0: how strongly the policy is held to the reference. The paper uses 0.1, and 0.5 for
    /// TL;DR.</param>
    /// <param name="labelSmoothing">ε in [0, ½): the share of preferences taken to be the wrong way round (conservative DPO,
    /// as in the paper's code): −(1−ε) log σ(βΔ) − ε log σ(−βΔ).</param>
    /// <param name="referenceFree">The loss takes a reference that gives every completion the same probability; the rewards it
    /// reports are still measured against the reference given.</param>
    /// <param name="divergence">Takes the log-ratio r to the score s = f(r) that stands in its place, so that Δ = s_w − s_l;
    /// reverse KL, s = r, by default.</param>
    /// <exception cref="ArgumentOutOfRangeException">β or ε is outside its range.</exception>
    /// <exception cref="ArgumentException">A divergence is given to a reference-free loss, which has no log-ratio.</exception>
    public DpoLoss(double beta = 0.1, double labelSmoothing = 0, bool referenceFree = false, FDivergence? divergence = null)
        : base(nameof(DpoLoss))
    {
        Beta = LossArgument.Beta(beta);
        LabelSmoothing = LossArgument.LabelSmoothing(labelSmoothing);
        ReferenceFree = referenceFree;
        if (referenceFree && divergence is not null)
            throw new ArgumentException(
                "A reference-free loss has no log-ratio to take the divergence of; leave one of the two out.",
                nameof(divergence));
        this.divergence = divergence ?? FDivergence.ReverseKl;
    }

    /// <summary>β.</summary>
    public double Beta { get; }

    /// <summary>ε of conservative DPO; 0 is plain DPO.</summary>
    public double LabelSmoothing { get; }

    /// <summary>Whether the loss ignores the reference.</summary>
    public bool ReferenceFree { get; }

    /// <summary>True: its rewards compare the policy with a reference, even where the loss does not.</summary>
    public bool UsesReference => true;

    /// <inheritdoc/>
    public bool IsBatchCoupled => false;

    /// <inheritdoc/>
    public string Description => LossDescription.Of(this,
        ("Beta", Beta), ("LabelSmoothing", LabelSmoothing), ("ReferenceFree", ReferenceFree), ("divergence", divergence));

    /// <summary>Does nothing: no number follows a schedule.</summary>
    public void Reach(int stepsMade, int totalSteps)
    {
    }

    /// <summary>None: steps change nothing.</summary>
    public IEnumerable<(string Name, Tensor Tensor)> State() => [];

    /// <summary>Takes nothing over.</summary>
    public void LoadState(IEnumerable<(string Name, Tensor Tensor)> state)
    {
    }

    /// <inheritdoc/>
    public LogProbsRequest Needs => LogProbsRequest.None;

    /// <summary>The losses of pairs given by index.</summary>
    /// <param name="policyLogProbs">log π of every completion, <c>[S]</c>.</param>
    /// <param name="referenceLogProbs">log π_ref of every completion, <c>[S]</c>; no gradient flows into it.</param>
    /// <param name="chosenIndex">Every pair's chosen completion, <c>[P]</c>, int64.</param>
    /// <param name="rejectedIndex">Every pair's rejected completion, <c>[P]</c>, int64.</param>
    /// <returns>The loss of every pair, <c>[P]</c>, not reduced, and the implicit reward of every completion, <c>[S]</c>,
    /// detached; in the inputs' precision and of the current dispose scope.</returns>
    public override (Tensor Losses, Tensor Rewards) forward(
        Tensor policyLogProbs, Tensor referenceLogProbs, Tensor chosenIndex, Tensor rejectedIndex)
    {
        var ratios = ReferenceFree ? policyLogProbs : policyLogProbs - referenceLogProbs.detach();
        // index_select's backward adds in a fixed order; that of tensor indexing does not.
        var losses = Losses(ratios.index_select(0, chosenIndex), ratios.index_select(0, rejectedIndex));
        return (losses, (policyLogProbs.detach() - referenceLogProbs.detach()).Times(Beta));
    }

    /// <summary>The losses of pairs given by value, as the trainer does.</summary>
    /// <param name="pairs">The log-probabilities, <c>[P]</c> each.</param>
    /// <returns>The loss of every pair, <c>[P]</c>, not reduced.</returns>
    public Tensor Losses(PairLogProbs pairs)
    {
        ArgumentNullException.ThrowIfNull(pairs);
        return ReferenceFree
            ? Losses(pairs.PolicyChosen, pairs.PolicyRejected)
            : Losses(pairs.ChosenRatios, pairs.RejectedRatios);
    }

    /// <inheritdoc/>
    public PairLogProbs PairsOf(PreferenceLogProbs part)
    {
        ArgumentNullException.ThrowIfNull(part);
        return part.Pairs();
    }

    /// <inheritdoc/>
    public Tensor Share(PreferenceLogProbs part, PreferenceCounts batch) => PairLoss.ShareOf(this, part, batch);

    /// <inheritdoc/>
    public Tensor Rewards(PreferenceLogProbs part) => PairLoss.RewardsOf(this, part);

    private Tensor Losses(Tensor chosenRatios, Tensor rejectedRatios)
    {
        var margins = (divergence.Score(chosenRatios) - divergence.Score(rejectedRatios)).Times(Beta);
        var losses = -nn.functional.logsigmoid(margins);
        // −log σ(−x) = x − log σ(x), so smoothing by ε moves the loss by ε·x.
        return LabelSmoothing == 0 ? losses : losses.Plus(margins.Times(LabelSmoothing));
    }
}
