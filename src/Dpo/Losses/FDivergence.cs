using Dpo.Native;
using static TorchSharp.torch;

namespace Dpo.Losses;

/// <summary>
/// The divergence that holds the policy to the reference (Wang et al. 2023, "Beyond Reverse KL"): turns a log-ratio
/// r = log π − log π_ref into the score s = f'(exp r) that takes its place in a loss, up to a constant that cancels between
/// chosen and rejected.
/// </summary>
/// <remarks>TRL's formulas, under TRL's names. Exponents are capped at 80 (11 in fp16), as in TRL's <c>alpha_divergence</c>, so
/// that scores stay finite: where the policy is further from the reference than that, a completion has no gradient any more. One
/// of your own is a function given to the constructor.</remarks>
/// <param name="name">A name for messages.</param>
/// <param name="score">Scores of log-ratios, of the same shape, with their graph.</param>
public sealed class FDivergence(string name, Func<Tensor, Tensor> score)
{
    /// <summary><c>reverse_kl</c>, DPO's: s = r.</summary>
    public static FDivergence ReverseKl { get; } = new("reverse_kl", ratios => ratios);

    /// <summary><c>forward_kl</c>: s = −exp(−r). Grows exponentially as the policy gives up what the reference says.</summary>
    /// <remarks>TRL does not cap this one: below r = −80 its scores go on to −∞, and the difference of two such is no
    /// number.</remarks>
    public static FDivergence ForwardKl { get; } = new("forward_kl", ratios => -CappedExp(-ratios));

    /// <summary><c>js_divergence</c>, Jensen–Shannon: s = log σ(r).</summary>
    public static FDivergence JensenShannon { get; } = new("js_divergence", nn.functional.logsigmoid);

    /// <summary><c>alpha_divergence</c>: s = exp((α−1)·r) / (α−1), and s = r in the limit α = 1.</summary>
    /// <param name="alpha">α, any finite number; TRL's default is 0.5.</param>
    /// <exception cref="ArgumentOutOfRangeException">α is not finite.</exception>
    public static FDivergence Alpha(double alpha = 0.5)
    {
        if (!double.IsFinite(alpha))
            throw new ArgumentOutOfRangeException(nameof(alpha), alpha, "α must be a finite number.");
        // So near to 1 the quotient would be rounding noise about its limit, r and a constant that cancels.
        return new("alpha_divergence", ratios =>
            Math.Abs(alpha - 1) < 1e-6 ? ratios : CappedExp(ratios.Times(alpha - 1)).DividedBy(alpha - 1));
    }

    /// <summary>Its name; TRL's for those that TRL has.</summary>
    public string Name { get; } = name;

    /// <summary>The scores s of log-ratios r, of the same shape.</summary>
    public Tensor Score(Tensor ratios) => score(ratios);

    /// <summary>The exponential of what is capped as said above.</summary>
    internal static Tensor CappedExp(Tensor exponents) => exponents.AtMost(exponents.dtype == float16 ? 11 : 80).exp();
}
