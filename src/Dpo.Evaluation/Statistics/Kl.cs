namespace Dpo.Evaluation.Statistics;

/// <summary>The KL divergence of a policy from a reference, KL(π‖π_ref) in nats: exactly, and its estimates of one sampled token
/// (Schulman 2020), with d = log π_ref − log π of the token.</summary>
public static class Kl
{
    /// <summary>k1 = −d: unbiased, of either sign, of much variance.</summary>
    /// <param name="policy">log π of the token.</param>
    /// <param name="reference">log π_ref of the token.</param>
    public static double K1(double policy, double reference) => policy - reference;

    /// <summary>k2 = ½d²: of less variance, and biased, little where the two are close.</summary>
    /// <param name="policy">log π of the token.</param>
    /// <param name="reference">log π_ref of the token.</param>
    public static double K2(double policy, double reference) => 0.5 * (policy - reference) * (policy - reference);

    /// <summary>k3 = exp(d) − 1 − d: unbiased where π gives a probability to all that π_ref does, and never negative; its
    /// variance is large where the reference is much likelier.</summary>
    /// <param name="policy">log π of the token.</param>
    /// <param name="reference">log π_ref of the token.</param>
    public static double K3(double policy, double reference) => Math.Exp(reference - policy) - 1 - (reference - policy);

    /// <summary>Σ over the vocabulary of π (log π − log π_ref); exchange the two for the reverse.</summary>
    /// <param name="policyLogits">The policy's logits.</param>
    /// <param name="referenceLogits">The reference's, of the same number.</param>
    public static double Exact(ReadOnlySpan<double> policyLogits, ReadOnlySpan<double> referenceLogits)
    {
        ArgumentOutOfRangeException.ThrowIfNotEqual(referenceLogits.Length, policyLogits.Length);
        var (policyLog, referenceLog) = (LogSumExp(policyLogits), LogSumExp(referenceLogits));
        var sum = 0.0;
        for (var token = 0; token < policyLogits.Length; token++)
        {
            var log = policyLogits[token] - policyLog;
            // What the policy never says adds nothing.
            sum += double.IsNegativeInfinity(log) ? 0 : Math.Exp(log) * (log - (referenceLogits[token] - referenceLog));
        }
        return sum;
    }

    private static double LogSumExp(ReadOnlySpan<double> logits)
    {
        var largest = double.NegativeInfinity;
        foreach (var logit in logits)
            largest = Math.Max(largest, logit);
        var sum = 0.0;
        foreach (var logit in logits)
            sum += Math.Exp(logit - largest);
        return largest + Math.Log(sum);
    }
}
