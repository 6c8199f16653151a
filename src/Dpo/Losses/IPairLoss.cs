using static TorchSharp.torch;

namespace Dpo.Losses;

/// <summary>A loss of pairs of a chosen and a rejected completion; a batch's loss is the mean over its pairs.</summary>
/// <remarks>
/// <para>A loss of your own is a <see cref="PairLoss"/>.</para>
/// <para>Throughout the family, r_w and r_l are the log-ratios log π − log π_ref of the chosen and the rejected completion, s =
/// f(r) their scores under an <see cref="FDivergence"/> (s = r by default), Δ = s_w − s_l, n the length of a completion in
/// tokens, and ls = log σ. All losses are computed in the precision of the log-probabilities, in forms that stay finite however
/// far policy and reference are apart; but for <see cref="DiscoPopLoss"/> with τ &gt; 1, which grows exponentially, and for
/// <see cref="IpoLoss"/> and <see cref="SppoHardLoss"/> with <c>forward_kl</c> or <c>alpha_divergence</c>, which square what
/// does. The reported reward of a completion is β·r, or β·a, with a its log-probability per token, where a loss does without a
/// reference, unless the loss says something else.</para>
/// </remarks>
public interface IPairLoss : IPreferenceLoss
{
    /// <summary>β: what log-ratios are multiplied by to be rewards.</summary>
    public double Beta { get; }

    /// <summary>The loss of every pair.</summary>
    /// <param name="pairs">The log-probabilities, <c>[P]</c> each.</param>
    /// <returns><c>[P]</c>, not reduced, with its graph.</returns>
    public Tensor Losses(PairLogProbs pairs);

    /// <summary>What <see cref="Losses"/> is given of a batch: the sums over tokens, unless a loss looks at single
    /// tokens.</summary>
    public PairLogProbs PairsOf(PreferenceLogProbs part);
}
