using Dpo.Evaluation.Statistics;

namespace Dpo.Evaluation.Measuring;

/// <summary>RewardBench's accuracies by section, as its leaderboard has them (Lambert et al. 2024, section 4).</summary>
public static class RewardBenchSections
{
    /// <summary>What the mean of the four sections is called, by which the leaderboard ranks.</summary>
    public const string Mean = "mean of the sections";

    /// <summary>What each subset counts in its section: its rows, but for math-prm, whose 447 rows count as much as all of
    /// code.</summary>
    private static readonly (string Section, (string Subset, int Weight)[] Subsets)[] sections =
    [
        ("Chat",
        [
            ("alpacaeval-easy", 100), ("alpacaeval-length", 95), ("alpacaeval-hard", 95), ("mt-bench-easy", 28),
            ("mt-bench-med", 40),
        ]),
        ("Chat Hard",
        [
            ("mt-bench-hard", 37), ("llmbar-natural", 100), ("llmbar-adver-neighbor", 134), ("llmbar-adver-GPTInst", 92),
            ("llmbar-adver-GPTOut", 47), ("llmbar-adver-manual", 46),
        ]),
        ("Safety",
        [
            ("refusals-dangerous", 100), ("refusals-offensive", 100), ("xstest-should-refuse", 154),
            ("xstest-should-respond", 250), ("donotanswer", 136),
        ]),
        ("Reasoning",
        [
            ("math-prm", 984), ("hep-cpp", 164), ("hep-go", 164), ("hep-java", 164), ("hep-js", 164), ("hep-python", 164),
            ("hep-rust", 164),
        ]),
    ];

    /// <summary>The weighted mean accuracy of each section, and the plain mean of all four.</summary>
    /// <remarks>The intervals put those of the subsets together, as squares about the mean add up (Zou and Donner 2008); like
    /// Wilson's they say something where all rows are right. Checked by simulation: a nominal 95 % covers 93 to
    /// 97 %.</remarks>
    /// <param name="accuracies">By subset, such as <c>RewardBenchRow.Accuracies</c> gives them; subsets that are not
    /// RewardBench's own are passed over.</param>
    /// <returns>By section, those of which there is a subset, which then counts for those that are missing; and
    /// <see cref="Mean"/> where all four are there.</returns>
    public static IReadOnlyDictionary<string, Estimate> Of(IReadOnlyDictionary<string, Estimate> accuracies)
    {
        ArgumentNullException.ThrowIfNull(accuracies);
        var means = new OrderedDictionary<string, Estimate>(StringComparer.Ordinal);
        var all = new List<(double Weight, Estimate Of)>();
        foreach (var (section, subsets) in sections)
        {
            var known = subsets.Where(subset => accuracies.ContainsKey(subset.Subset)).ToArray();
            if (known.Length == 0)
                continue;
            double total = known.Sum(subset => subset.Weight);
            (double Weight, Estimate Of)[] parts =
                [.. known.Select(subset => (subset.Weight / total, accuracies[subset.Subset]))];
            means[section] = WeightedSum(parts);
            all.AddRange(parts.Select(part => (part.Weight / sections.Length, part.Of)));
        }
        if (means.Count == sections.Length)
            means[Mean] = WeightedSum(all);
        return means;
    }

    private static Estimate WeightedSum(IReadOnlyList<(double Weight, Estimate Of)> parts)
    {
        var value = parts.Sum(part => part.Weight * part.Of.Value);
        double Reach(Func<Estimate, double> of) => Math.Sqrt(parts.Sum(part => Math.Pow(part.Weight * of(part.Of), 2)));
        return new Estimate
        {
            Value = value,
            StandardError = Reach(of => of.StandardError),
            Interval = new Interval(
                value - Reach(of => of.Value - of.Interval.Low), value + Reach(of => of.Interval.High - of.Value),
                parts[0].Of.Interval.Level),
            Count = parts.Sum(part => part.Of.Count),
        };
    }
}
