namespace Dpo.Data;

/// <summary>What is done to preferences before training on them: repeated and contradictory ones left out, filters, and a
/// held-out part that shares no prompt with the rest.</summary>
/// <remarks>
/// <code>
/// var (train, test) = PreferenceFile.Read(path, report)
///     .WithoutDuplicates(report).WithoutContradictions(report)
///     .Keep(example => example.Prompt.Length &lt; 4000, "long prompt", report)
///     .SplitByPrompt(testShare: 0.05, seed: 0);
/// </code>
/// <para>To filter by length in tokens, tokenize with <c>Truncation.Drop</c>.</para>
/// </remarks>
public static class PreferenceCleaning
{
    /// <summary>Leaves out what was there before: the same prompt and the same completions with the same pairs, ranking, scores
    /// and labels, in whatever order the completions stand. They are counted as "duplicate".</summary>
    /// <param name="examples">Examples, which are gone through one by one; 16 bytes are kept of each.</param>
    /// <param name="report">Counts those left out.</param>
    public static IEnumerable<PreferenceExample> WithoutDuplicates(
        this IEnumerable<PreferenceExample> examples, DataReport report)
    {
        ArgumentNullException.ThrowIfNull(examples);
        ArgumentNullException.ThrowIfNull(report);
        Func<PreferenceExample, bool> IsNew()
        {
            var seen = new HashSet<UInt128>();
            return example => seen.Add(ContentHash.Of(example));
        }
        return Kept(examples, IsNew, "duplicate", report, new object());
    }

    /// <summary>
    /// Leaves out pairs that contradict each other: of one prompt the same two completions, preferred both ways, in one example
    /// or in two. Both pairs go, counted as "contradictory pair"; so does an example that has none left, or that has a ranking or
    /// scores.
    /// </summary>
    /// <param name="examples">Examples, which are all held in memory.</param>
    /// <param name="report">Counts the pairs left out; a ranked or scored example counts once.</param>
    public static IEnumerable<PreferenceExample> WithoutContradictions(
        this IEnumerable<PreferenceExample> examples, DataReport report)
    {
        ArgumentNullException.ThrowIfNull(examples);
        ArgumentNullException.ThrowIfNull(report);
        return WithoutContradictions(examples, report, new object());
    }

    private static IEnumerable<PreferenceExample> WithoutContradictions(
        IEnumerable<PreferenceExample> examples, DataReport report, object cleaning)
    {
        PreferenceExample[] all = [.. examples];
        var pairs = all.SelectMany(example => example.Pairs.Select(pair => ContentHash.Of(example, pair))).ToHashSet();
        foreach (var (index, example) in all.Index())
        {
            report.Meet(example);
            PreferencePair[] kept = [.. example.Pairs.Where(
                pair => !pairs.Contains(ContentHash.Of(example, new PreferencePair(pair.Rejected, pair.Chosen))))];
            if (kept.Length == example.Pairs.Count)
            {
                yield return example;
                continue;
            }
            var isWhole = example.Ranking is not null || example.Scores is not null;
            if (report.IsFirst(new RowMark(cleaning, index), cleaning))
                report.Drop("contradictory pair", example.Source, isWhole ? 1 : example.Pairs.Count - kept.Length);
            if (!isWhole && kept.Length > 0)
                yield return example with { Pairs = kept };
        }
    }

    /// <summary>Keeps the examples for which a condition holds, and counts the others.</summary>
    /// <param name="examples">Examples, which are gone through one by one.</param>
    /// <param name="condition">Whether an example is kept.</param>
    /// <param name="reason">Why the others are not, in a few words: "long prompt".</param>
    /// <param name="report">Counts the rows of the others.</param>
    public static IEnumerable<PreferenceExample> Keep(
        this IEnumerable<PreferenceExample> examples, Func<PreferenceExample, bool> condition, string reason, DataReport report)
    {
        ArgumentNullException.ThrowIfNull(examples);
        ArgumentNullException.ThrowIfNull(condition);
        ArgumentNullException.ThrowIfNull(reason);
        ArgumentNullException.ThrowIfNull(report);
        return Kept(examples, () => condition, reason, report, new object());
    }

    /// <summary>Keeps the examples for which a condition holds; what it remembers is new at each enumeration, what was counted is
    /// not.</summary>
    private static IEnumerable<PreferenceExample> Kept(
        IEnumerable<PreferenceExample> examples, Func<Func<PreferenceExample, bool>> begin, string reason, DataReport report,
        object cleaning)
    {
        var condition = begin();
        var index = 0L;
        foreach (var example in examples)
        {
            index++;
            report.Meet(example);
            if (condition(example))
                yield return example;
            else if (report.IsFirst(new RowMark(cleaning, index), cleaning))
                report.Drop(reason, example.Source, example.RowCount);
        }
    }

    /// <summary>
    /// Parts examples by their prompts, so that none is in both parts. Which part a prompt goes to depends on it and the seed
    /// alone: more rows, or rows in another order, move no other.
    /// </summary>
    /// <param name="examples">Examples, in any order, which both parts keep.</param>
    /// <param name="testShare">The share of prompts that are to be held out, above 0 and below 1; so many in expectation.</param>
    /// <param name="seed">Another seed holds out others.</param>
    public static (IReadOnlyList<PreferenceExample> Train, IReadOnlyList<PreferenceExample> Test) SplitByPrompt(
        this IEnumerable<PreferenceExample> examples, double testShare, int seed)
    {
        ArgumentNullException.ThrowIfNull(examples);
        ArgumentOutOfRangeException.ThrowIfLessThanOrEqual(testShare, 0);
        ArgumentOutOfRangeException.ThrowIfGreaterThanOrEqual(testShare, 1);
        var parts = examples.ToLookup(
            example => Math.ScaleB((double)(ulong)ContentHash.Of($"{seed}", example.Prompt), -64) < testShare);
        return ([.. parts[false]], [.. parts[true]]);
    }
}
