using Dpo.Batching;
using Dpo.Native;
using static TorchSharp.torch;

namespace Dpo.Losses;

/// <summary>
/// <c>kto</c>, Kahneman–Tversky Optimization (Ethayarajh et al. 2024, Eq. 8) on completions labelled apart, without pairs:
/// λ_d(1 − σ(β(r − KL))) of a desirable one, λ_u(1 − σ(β(KL − r))) of an undesirable one.
/// </summary>
/// <remarks>
/// KL = max(0, mean of r over completions of other prompts), detached: a rough measure of how far the policy has moved from the
/// reference. <see cref="PreferenceData.WithMismatches"/> gives the data such completions. The mean couples the batch. A
/// batch's loss is the mean over its labelled completions.
/// </remarks>
/// <param name="beta">β &gt; 0.</param>
/// <param name="desirableWeight">λ_d ≥ 0.</param>
/// <param name="undesirableWeight">λ_u ≥ 0. With D desirable and U undesirable completions in the data, the paper wants
/// λ_d·D / (λ_u·U) between 1 and 4/3.</param>
public sealed class KtoLoss(double beta = 0.1, double desirableWeight = 1, double undesirableWeight = 1) : PreferenceLoss
{
    /// <summary>β: what log-ratios are multiplied by to be rewards.</summary>
    public double Beta { get; } = LossArgument.Beta(beta);

    /// <summary>λ_d.</summary>
    public double DesirableWeight { get; } = Weight(desirableWeight, nameof(desirableWeight));

    /// <summary>λ_u.</summary>
    public double UndesirableWeight { get; } = Weight(undesirableWeight, nameof(undesirableWeight));

    /// <inheritdoc/>
    public override bool IsBatchCoupled => true;

    /// <summary>The losses of completions.</summary>
    /// <param name="desirable">r of the desirable completions, <c>[D]</c>.</param>
    /// <param name="undesirable">r of the undesirable completions, <c>[U]</c>.</param>
    /// <param name="mismatched">r of completions of other prompts, <c>[Q]</c>, at least one; no gradient flows into it.</param>
    /// <returns>Not reduced, with their graphs.</returns>
    public (Tensor Desirable, Tensor Undesirable) Losses(Tensor desirable, Tensor undesirable, Tensor mismatched)
    {
        ArgumentNullException.ThrowIfNull(mismatched);
        var kl = mismatched.detach().mean().relu();
        // 1 − σ(x) = σ(−x), without the cancellation.
        return (
            (kl - desirable).Times(Beta).sigmoid().Times(DesirableWeight),
            (undesirable - kl).Times(Beta).sigmoid().Times(UndesirableWeight));
    }

    /// <inheritdoc/>
    public override Tensor Share(PreferenceLogProbs part, PreferenceCounts batch)
    {
        ArgumentNullException.ThrowIfNull(part);
        var (known, labelled) = (part.Preferences, batch.Desirable + batch.Undesirable);
        if (labelled == 0)
            throw new InvalidInputException(
                "A batch holds no completion labelled desirable or undesirable, so KTO has nothing to learn from it; " +
                "give 'completion' and 'label' in every row.");
        if (known.Mismatched.shape[0] == 0)
            throw new InvalidInputException(
                "A batch holds no completion of another prompt, by which KTO measures the KL; " +
                "train on PreferenceData.WithMismatches().");
        var ratios = part.LogRatios;
        Tensor Of(Tensor indices) => ratios.index_select(0, indices);
        var (desirable, undesirable) = Losses(Of(known.Desirable), Of(known.Undesirable), Of(known.Mismatched));
        return desirable.sum().Plus(undesirable.sum()).DividedBy(labelled);
    }

    /// <inheritdoc/>
    public override Tensor Rewards(PreferenceLogProbs part)
    {
        ArgumentNullException.ThrowIfNull(part);
        return part.LogRatios.Times(Beta).detach();
    }

    private static double Weight(double value, string name) => value >= 0 && double.IsFinite(value)
        ? value
        : throw new ArgumentOutOfRangeException(name, value, "The weight must be a number of at least 0.");
}
