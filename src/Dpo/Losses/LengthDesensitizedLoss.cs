using Dpo.LogProbs;
using Dpo.Native;
using static TorchSharp.torch;

namespace Dpo.Losses;

/// <summary>
/// LD-DPO (Liu et al. 2024, "Length Desensitization in DPO"; TRL's <c>ld_alpha</c>): in every pair the tokens of the longer
/// completion past the shorter one's length count α times, so that length alone earns less. Any loss of pairs takes its place
/// inside.
/// </summary>
/// <remarks>Policy and reference are weighted alike. Losses that divide by lengths divide by the whole ones. The reported rewards
/// are those of whole completions.</remarks>
/// <param name="loss">The loss of the weighted log-probabilities; one that chooses tokens itself (<see cref="SamPoLoss"/>), or
/// takes KLs of whole completions, is refused.</param>
/// <param name="alpha">α in [0, 1]: 0 ignores the tokens past the shorter completion, 1 changes nothing.</param>
public sealed class LengthDesensitizedLoss(IPairLoss loss, double alpha) : PairLoss
{
    private readonly IPairLoss loss = loss is SamPoLoss or { Needs.ReferenceKl: true }
        ? throw new ArgumentException(
            $"{loss.GetType().Name} adds up tokens in a way of its own, which length desensitization would undo; " +
            "leave one of the two out.", nameof(loss))
        : loss;

    /// <summary>α.</summary>
    public double Alpha { get; } = alpha is >= 0 and <= 1
        ? alpha
        : throw new ArgumentOutOfRangeException(nameof(alpha), alpha, "α must lie in [0, 1].");

    /// <inheritdoc/>
    public override double Beta => loss.Beta;

    /// <inheritdoc/>
    public override bool UsesReference => loss.UsesReference;

    /// <inheritdoc/>
    public override bool IsBatchCoupled => loss.IsBatchCoupled;

    /// <inheritdoc/>
    public override LogProbsRequest Needs => loss.Needs;

    /// <inheritdoc/>
    public override string Description => LossDescription.Of(this, ("Alpha", Alpha), ("loss", loss));

    /// <inheritdoc/>
    public override Tensor Losses(PairLogProbs pairs) => loss.Losses(pairs);

    /// <inheritdoc/>
    public override PairLogProbs PairsOf(PreferenceLogProbs part)
    {
        ArgumentNullException.ThrowIfNull(part);
        var (offsets, device) = (part.Policy.Offsets, part.Policy.PerToken.device);
        var lengths = offsets.Zip(offsets.Skip(1), (begin, end) => (long)(end - begin)).ToArray();
        var begins = DeviceCopy.Of([.. offsets.SkipLast(1).Select(offset => (long)offset)], device);
        var counts = DeviceCopy.Of(lengths, device);
        var places = HeldScalars.Range(lengths.Max(), device);

        // Every pair's tokens in a row, as long as the longest completion: where each lies, whether it is in the other
        // completion's length too, and whether it is there at all.
        (Tensor Tokens, Tensor Shared, Tensor Own) Lay(Tensor own, Tensor other)
        {
            Tensor Column(Tensor ofCompletions, Tensor completions) => ofCompletions.index_select(0, completions).unsqueeze(1);
            var length = Column(counts, own);
            var tokens = Column(begins, own).Plus(minimum(places, length.Minus(1)));
            return (tokens, places.lt(Column(counts, other)), places.lt(length));
        }
        Tensor Sums(Tensor perToken, (Tensor Tokens, Tensor Shared, Tensor Own) laid)
        {
            var values = perToken.index_select(0, laid.Tokens.flatten()).view(laid.Tokens.shape);
            return where(laid.Own, where(laid.Shared, values, values.Times(Alpha)), zeros_like(values)).sum(1);
        }

        var (ofChosen, ofRejected) = (
            Lay(part.Preferences.Chosen, part.Preferences.Rejected), Lay(part.Preferences.Rejected, part.Preferences.Chosen));
        return loss.PairsOf(part) with
        {
            PolicyChosen = Sums(part.Policy.PerToken, ofChosen),
            PolicyRejected = Sums(part.Policy.PerToken, ofRejected),
            ReferenceChosen = part.Reference is null ? null : Sums(part.Reference.PerToken.detach(), ofChosen),
            ReferenceRejected = part.Reference is null ? null : Sums(part.Reference.PerToken.detach(), ofRejected),
        };
    }

    /// <inheritdoc/>
    public override Tensor Rewards(PreferenceLogProbs part) => loss.Rewards(part);

    /// <inheritdoc/>
    public override void Reach(int stepsMade, int totalSteps) => loss.Reach(stepsMade, totalSteps);

    /// <inheritdoc/>
    public override IEnumerable<(string Name, Tensor Tensor)> State() => loss.State();

    /// <inheritdoc/>
    public override void LoadState(IEnumerable<(string Name, Tensor Tensor)> state) => loss.LoadState(state);
}
