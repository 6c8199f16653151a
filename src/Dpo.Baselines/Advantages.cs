namespace Dpo.Baselines;

/// <summary>From log-probabilities and scores to rewards, advantages and returns: PPO's arithmetic on sampled completions, in
/// float64. A list is a completion's, with a number for each of its tokens.</summary>
internal static class Advantages
{
    /// <summary>Estimates the KL at each token.</summary>
    public static double[] Kl(IReadOnlyList<double> logProbs, IReadOnlyList<double> reference, KlEstimator estimator) =>
    [
        .. logProbs.Zip(reference, (own, other) => estimator == KlEstimator.K1
            ? own - other
            : Math.Exp(other - own) - 1 - (other - own)),
    ];

    /// <summary>The reward of each state that is valued: what the KL of its token takes, and the score on the last (Ziegler et
    /// al. 2019; Stiennon et al. 2020), which may be the state behind the last token (TRL).</summary>
    public static double[] Rewards(IReadOnlyList<double> kl, double coefficient, double score, int states)
    {
        double[] rewards = [.. kl.Select(nats => -coefficient * nats), .. Enumerable.Repeat(0.0, states - kl.Count)];
        rewards[^1] += score;
        return rewards;
    }

    /// <summary>Generalized advantage estimation (Schulman et al. 2016): A_t = δ_t + γλA_{t+1} with δ_t = r_t + γV_{t+1} − V_t,
    /// where V behind the last token is 0.</summary>
    /// <returns>The advantages; and the returns, A + V.</returns>
    public static (double[] Advantages, double[] Returns) Gae(
        IReadOnlyList<double> rewards, IReadOnlyList<double> values, double gamma, double lambda)
    {
        var advantages = new double[rewards.Count];
        var (next, nextValue) = (0.0, 0.0);
        for (var token = rewards.Count - 1; token >= 0; token--)
        {
            var error = rewards[token] + (gamma * nextValue) - values[token];
            advantages[token] = next = error + (gamma * lambda * next);
            nextValue = values[token];
        }
        return (advantages, [.. advantages.Zip(values, (advantage, value) => advantage + value)]);
    }

    /// <summary>(x − mean) / √(variance + 1e-8) over the tokens of all completions, with the unbiased variance.</summary>
    /// <param name="values">A list for each completion.</param>
    /// <param name="keepMean">Whether the mean is added again, as for rewards.</param>
    public static double[][] Whiten(IReadOnlyList<double[]> values, bool keepMean)
    {
        double[] all = [.. values.SelectMany(of => of)];
        var mean = all.Average();
        var variance = all.Length > 1 ? all.Sum(value => (value - mean) * (value - mean)) / (all.Length - 1) : 0;
        var deviation = Math.Sqrt(variance + 1e-8);
        return [.. values.Select(of => of.Select(value => ((value - mean) / deviation) + (keepMean ? mean : 0)).ToArray())];
    }
}
