namespace Dpo.Evaluation.Statistics;

/// <summary>Which of several points no other is better than: less KL is better, and more reward is (the paper's Figure 2,
/// left).</summary>
public static class ParetoFront
{
    /// <summary>The points of the front. A point is dominated where another is at least as good in both and better in one; points
    /// that are equal stay together.</summary>
    /// <param name="kl">The KL of each point.</param>
    /// <param name="reward">The reward of each.</param>
    /// <returns>Their indices, by KL, then by index.</returns>
    public static IReadOnlyList<int> Of(IReadOnlyList<double> kl, IReadOnlyList<double> reward)
    {
        ArgumentNullException.ThrowIfNull(kl);
        ArgumentNullException.ThrowIfNull(reward);
        ArgumentOutOfRangeException.ThrowIfNotEqual(reward.Count, kl.Count);
        var front = new List<int>();
        foreach (var index in Enumerable.Range(0, kl.Count).OrderBy(index => kl[index]).ThenByDescending(index => reward[index]))
        {
            // Of what comes, nothing has less KL than the last of the front: it is dominated unless its reward is more.
            if (front.Count == 0 || reward[index] > reward[front[^1]]
                || (reward[index] == reward[front[^1]] && kl[index] == kl[front[^1]]))
                front.Add(index);
        }
        return front;
    }

    /// <summary>The area that a front dominates: of all points of at most a KL and at least a reward, those that some point is
    /// better than. A front that is better everywhere has more.</summary>
    /// <param name="kl">The KL of each point; those off the front add nothing.</param>
    /// <param name="reward">The reward of each.</param>
    /// <param name="mostKl">Where the area ends.</param>
    /// <param name="leastReward">Where it begins.</param>
    public static double Hypervolume(
        IReadOnlyList<double> kl, IReadOnlyList<double> reward, double mostKl, double leastReward)
    {
        var (area, reached) = (0.0, leastReward);
        foreach (var index in Of(kl, reward).Where(index => kl[index] <= mostKl && reward[index] > leastReward))
        {
            area += (mostKl - kl[index]) * (reward[index] - reached);
            reached = reward[index];
        }
        return area;
    }
}
