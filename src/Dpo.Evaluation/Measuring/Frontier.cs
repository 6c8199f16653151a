using Dpo.Evaluation.Statistics;

namespace Dpo.Evaluation.Measuring;

/// <summary>What many runs reached at many steps: reward against KL, by method.</summary>
/// <param name="points">The points, in any order.</param>
public sealed class Frontier(IReadOnlyList<FrontierPoint> points)
{
    /// <summary>All points.</summary>
    public IReadOnlyList<FrontierPoint> Points => points;

    /// <summary>The methods, in the order of their first points.</summary>
    public IReadOnlyList<string> Methods => [.. points.Select(point => point.Method).Distinct(StringComparer.Ordinal)];

    /// <summary>The points of a method that none of its others is better than, by KL.</summary>
    /// <param name="method">One of <see cref="Methods"/>.</param>
    public IReadOnlyList<FrontierPoint> Front(string method)
    {
        FrontierPoint[] own = [.. Of(method)];
        return [.. ParetoFront.Of([.. own.Select(Kl)], [.. own.Select(Reward)]).Select(index => own[index])];
    }

    /// <summary>
    /// By how much a method's front is above another's, with its interval: whether it "dominates", as the paper says of DPO's. Of
    /// each seed the mean height of the front between KL 0 and a KL, over a least reward, is compared; the difference is that of
    /// pairs of seeds, with a t interval.
    /// </summary>
    /// <remarks>The height at a KL is the best reward of the points up to it; below the first point it is the least reward.
    /// Points were measured with errors, and the best of many is high by chance: compare fronts of as many points.</remarks>
    /// <param name="method">The method.</param>
    /// <param name="other">The one that it is compared with.</param>
    /// <param name="mostKl">Up to where fronts are looked at, in nats; above 0.</param>
    /// <param name="leastReward">What counts as nothing, such as the reference's reward.</param>
    /// <param name="level">Of the interval; above 0 and below 1.</param>
    /// <exception cref="ArgumentException">Fewer than two seeds have points of both.</exception>
    public Estimate HeightOver(string method, string other, double mostKl, double leastReward, double level = 0.95)
    {
        if (!(mostKl > 0 && double.IsFinite(mostKl)))
            throw new ArgumentOutOfRangeException(nameof(mostKl), mostKl, "Fronts are looked at up to a finite KL above 0.");
        int[] seeds = [.. Of(method).Select(point => point.Seed).Intersect(Of(other).Select(point => point.Seed)).Order()];
        return seeds.Length > 1
            ? Estimate.OfPairedDifference(
                [.. seeds.Select(seed => Height(other, seed))], [.. seeds.Select(seed => Height(method, seed))], level)
            : throw new ArgumentException(
                $"Two methods are compared over two seeds or more that both have, and {method} and {other} have {seeds.Length}.",
                nameof(other));

        double Height(string of, int seed)
        {
            FrontierPoint[] own = [.. Of(of).Where(point => point.Seed == seed)];
            return ParetoFront.Hypervolume([.. own.Select(Kl)], [.. own.Select(Reward)], mostKl, leastReward) / mostKl;
        }
    }

    private IEnumerable<FrontierPoint> Of(string method) => points.Where(point => point.Method == method);

    private static double Kl(FrontierPoint point) => point.Kl.Value;

    private static double Reward(FrontierPoint point) => point.Reward.Value;
}
