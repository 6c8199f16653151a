using Dpo.Training.Checkpointing;
using static TorchSharp.torch;

namespace Dpo.Baselines;

/// <summary>From what a reward says of a round's completions to what they are worth to PPO.</summary>
internal sealed class CompletionWorth(PpoOptions options) : IRestorable
{
    private const string Name = "score_moments";

    /// <summary>How many scores there have been, their mean, and the sum of their squared distances from it.</summary>
    private (double Count, double Mean, double Squares) seen;

    /// <summary>Cuts scores to their range; divides them by their deviation, where that is asked for; and takes the penalty off
    /// those of completions that did not end by themselves, or gives these a worth of their own.</summary>
    public double[] Of(IReadOnlyList<double> scores, IReadOnlyList<bool> ended)
    {
        double[] within = [.. scores.Select(score => Math.Clamp(score, -options.ScoreRange, options.ScoreRange))];
        var deviation = options.ScaleScores ? Deviation(within) : 1;
        return
        [
            .. within.Zip(ended, (score, isEnded) =>
                isEnded ? score / deviation : options.MissingEndScore ?? ((score / deviation) - options.MissingEndPenalty)),
        ];
    }

    /// <inheritdoc/>
    public IEnumerable<(string Name, Tensor Tensor)> State() =>
        seen.Count > 0 ? [(Name, tensor([seen.Count, seen.Mean, seen.Squares], float64, CPU))] : [];

    /// <inheritdoc/>
    public void LoadState(IEnumerable<(string Name, Tensor Tensor)> state)
    {
        foreach (var (_, moments) in state.Where(named => named.Name == Name))
            seen = moments.data<double>().ToArray() is [var count, var mean, var squares]
                ? (count, mean, squares)
                : throw new InvalidInputException($"The checkpoint's {Name} are not three numbers.");
    }

    /// <summary>The deviation of all scores so far, these included, without bias (trlx); 1 where all are the same.</summary>
    private double Deviation(double[] scores)
    {
        foreach (var score in scores)
        {
            var (count, gap) = (seen.Count + 1, score - seen.Mean);
            var mean = seen.Mean + (gap / count);
            seen = (count, mean, seen.Squares + (gap * (score - mean)));
        }
        return seen.Squares > 0 ? Math.Sqrt(seen.Squares / (seen.Count - 1)) : 1;
    }
}
