using Dpo.Training;

namespace Dpo.Evaluation.Measuring;

/// <summary>What is asked which of two completions is the better one.</summary>
public enum LabelWitness
{
    /// <summary>The implicit reward, <see cref="PairRewards.Margin"/>: of a policy that was trained on preferences, these or
    /// others.</summary>
    ImplicitReward,

    /// <summary>The reference's mean log-probability of a token, or the policy's own where the rewards do without a reference: of
    /// a model that was fine-tuned on good completions. It needs no training on pairs, and sees what is unlike good text
    /// only.</summary>
    LogProbs,
}

/// <summary>A pair, and how a model ranks it.</summary>
/// <param name="Pair">The pair.</param>
/// <param name="Against">How far the rejected completion is ahead by the model, in the witness's nats; above 0 the model ranks
/// the pair against its label.</param>
public sealed record SuspectPair(PairRewards Pair, double Against);

/// <summary>Pairs whose label a model disputes: of noisy data, those that are most likely mislabelled.</summary>
public static class LabelNoise
{
    /// <summary>Ranks pairs by how strongly a model ranks them against their label, the strongest first.</summary>
    /// <param name="pairs">The pairs, such as <c>Evaluator.Rewards</c> gives them.</param>
    /// <param name="witness">What is asked.</param>
    /// <returns>All of them; those in front are the ones to look at, and those with <see cref="SuspectPair.Against"/> of 0 or
    /// less agree with their label.</returns>
    public static IReadOnlyList<SuspectPair> Rank(
        IEnumerable<PairRewards> pairs, LabelWitness witness = LabelWitness.ImplicitReward)
    {
        ArgumentNullException.ThrowIfNull(pairs);
        return
        [
            .. pairs.Select(pair => new SuspectPair(pair, witness switch
            {
                LabelWitness.ImplicitReward => -pair.Margin,
                LabelWitness.LogProbs =>
                    ((pair.RejectedReferenceLogProb ?? pair.RejectedLogProb) / pair.RejectedTokens)
                    - ((pair.ChosenReferenceLogProb ?? pair.ChosenLogProb) / pair.ChosenTokens),
                _ => throw new ArgumentOutOfRangeException(nameof(witness)),
            })).OrderByDescending(suspect => suspect.Against),
        ];
    }
}
