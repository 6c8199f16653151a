using Dpo.Native;
using static TorchSharp.torch;

namespace Dpo.Losses;

/// <summary>
/// <c>odpo</c>: −ls(βΔ − α log(s_w − s_l)), DPO with an offset (Amini et al. 2024, Eq. 8): the better a completion was scored
/// than the other, the larger the margin that is asked for. <c>odpo_ratio</c> takes log(s_w / s_l) instead.
/// </summary>
/// <remarks>For pairs with scores that say how much better, as those of a reward model do. Completions that are scored alike have
/// the logarithm of 0, and teach nothing: their loss and gradient are 0.</remarks>
/// <param name="beta">β &gt; 0.</param>
/// <param name="alpha">α &gt; 0; the paper takes 0.5 and 1.</param>
/// <param name="ofRatio">Whether scores are divided instead of subtracted; they must be above 0 then.</param>
public sealed class OdpoLoss(double beta = 0.1, double alpha = 1, bool ofRatio = false) : PairLoss
{
    /// <inheritdoc/>
    public override double Beta { get; } = LossArgument.Beta(beta);

    /// <summary>α.</summary>
    public double Alpha { get; } = LossArgument.Above0(alpha, "α", nameof(alpha));

    /// <summary>Whether scores are divided instead of subtracted.</summary>
    public bool OfRatio { get; } = ofRatio;

    /// <inheritdoc/>
    /// <exception cref="InvalidInputException">The completions have no scores.</exception>
    public override Tensor Losses(PairLogProbs pairs)
    {
        ArgumentNullException.ThrowIfNull(pairs);
        if (pairs is not { ChosenScores: { } chosen, RejectedScores: { } rejected })
            throw new InvalidInputException(
                "ODPO asks for margins that grow with the gap of scores, and not every completion has a score; " +
                "give 'score_chosen' and 'score_rejected' in every row, or take another loss.");
        var offsets = (OfRatio ? chosen / rejected : chosen - rejected).log();
        return -nn.functional.logsigmoid(pairs.Margins.Times(Beta) - offsets.Times(Alpha));
    }

    /// <inheritdoc/>
    /// <exception cref="InvalidInputException">A pair's scores have no such logarithm.</exception>
    public override PairLogProbs PairsOf(PreferenceLogProbs part)
    {
        ArgumentNullException.ThrowIfNull(part);
        foreach (var example in part.Preferences.Examples.Where(example => example.Scores is not null))
        {
            foreach (var (chosen, rejected) in example.Pairs)
            {
                if (Fault(example.Scores![chosen], example.Scores[rejected]) is { } fault)
                    throw new InvalidInputException(
                        $"{example.Source ?? "An example"}: {fault}; exchange or drop the pair, or take another loss.");
            }
        }
        return base.PairsOf(part);
    }

    private string? Fault(float chosen, float rejected) => OfRatio
        ? chosen > 0 && rejected > 0
            ? null
            : $"ODPO divides scores and takes the logarithm, and {chosen} or {rejected} is not above 0"
        : chosen >= rejected
            ? null
            : $"ODPO takes the logarithm of how much higher the chosen completion's score is, and {chosen} is below {rejected}";
}
