using static TorchSharp.torch;

namespace Dpo;

/// <summary>
/// LD-DPO (Liu et al. 2024, "Length Desensitization in DPO"; TRL's <c>ld_alpha</c>): in every pair the tokens of the longer
/// completion past the shorter one's length count α times, so that length alone earns less. Any loss of pairs takes its place
/// inside.
/// </summary>
/// <remarks>Policy and reference are weighted alike. Losses that divide by lengths divide by the whole ones. The reported rewards
/// are those of whole completions.</remarks>
/// <param name="loss">The loss of the weighted log-probabilities.</param>
/// <param name="alpha">α in [0, 1]: 0 ignores the tokens past the shorter completion, 1 changes nothing.</param>
public sealed class LengthDesensitizedLoss(IPairLoss loss, double alpha) : IPairLoss
{
    /// <summary>α.</summary>
    public double Alpha { get; } = alpha is >= 0 and <= 1
        ? alpha
        : throw new ArgumentOutOfRangeException(nameof(alpha), alpha, "α must lie in [0, 1].");

    /// <inheritdoc/>
    public double Beta => loss.Beta;

    /// <inheritdoc/>
    public bool UsesReference => loss.UsesReference;

    /// <inheritdoc/>
    public bool IsBatchCoupled => loss.IsBatchCoupled;

    /// <inheritdoc/>
    public bool UsesLogSquaredProbs => loss.UsesLogSquaredProbs;

    /// <inheritdoc/>
    public Tensor Losses(PairLogProbs pairs) => loss.Losses(pairs);

    /// <inheritdoc/>
    public PairLogProbs PairsOf(PreferenceLogProbs part)
    {
        ArgumentNullException.ThrowIfNull(part);
        var (offsets, dtype, device) = (part.Policy.Offsets, part.Policy.PerToken.dtype, part.Policy.PerToken.device);
        var (chosen, rejected) = (part.Preferences.Chosen.cpu().data<long>().ToArray(), part.Preferences.Rejected.cpu().data<long>().ToArray());
        int Length(long completion) => offsets[(int)completion + 1] - offsets[(int)completion];

        // Every pair's tokens end to end: where each lies, and what it counts.
        (Tensor Tokens, Tensor Weights, long[] Counts) Lay(long[] own, long[] other)
        {
            var (tokens, weights) = (new List<long>(), new List<double>());
            foreach (var (completion, shorter) in own.Zip(own.Zip(other, (one, two) => Math.Min(Length(one), Length(two)))))
            {
                for (var token = 0; token < Length(completion); token++)
                {
                    tokens.Add(offsets[(int)completion] + token);
                    weights.Add(token < shorter ? 1 : Alpha);
                }
            }
            return (tensor(tokens.ToArray(), device: device), tensor(weights.ToArray(), dtype, device), [.. own.Select(completion => (long)Length(completion))]);
        }
        Tensor Sums(Tensor perToken, (Tensor Tokens, Tensor Weights, long[] Counts) laid) => laid.Counts.Length == 0
            ? perToken.new_empty(0)
            : stack((perToken.index_select(0, laid.Tokens) * laid.Weights).split(laid.Counts).Select(tokens => tokens.sum()));

        var (ofChosen, ofRejected) = (Lay(chosen, rejected), Lay(rejected, chosen));
        return loss.PairsOf(part) with
        {
            PolicyChosen = Sums(part.Policy.PerToken, ofChosen),
            PolicyRejected = Sums(part.Policy.PerToken, ofRejected),
            ReferenceChosen = part.Reference is null ? null : Sums(part.Reference.PerToken.detach(), ofChosen),
            ReferenceRejected = part.Reference is null ? null : Sums(part.Reference.PerToken.detach(), ofRejected),
        };
    }

    /// <inheritdoc/>
    public Tensor Rewards(PreferenceLogProbs part) => loss.Rewards(part);
}
