using System.Globalization;
using System.Text;
using Dpo.Data;
using Dpo.Tokenization;

namespace Dpo.Batching;

/// <summary>Lengths in tokens.</summary>
/// <param name="Min">The shortest.</param>
/// <param name="Median">Half are no longer.</param>
/// <param name="Mean">The mean.</param>
/// <param name="P95">95 in 100 are no longer.</param>
/// <param name="Max">The longest.</param>
public readonly record struct LengthSummary(int Min, int Median, double Mean, int P95, int Max)
{
    /// <summary>Of a length and how often it occurs.</summary>
    internal static LengthSummary Of(SortedDictionary<int, int> lengths)
    {
        if (lengths.Count == 0)
            return default;
        var count = lengths.Values.Sum(value => (long)value);
        // The smallest length that at least the share has.
        int Quantile(double share)
        {
            var below = 0L;
            return lengths.First(length => (below += length.Value) >= share * count).Key;
        }
        return new LengthSummary(
            lengths.Keys.First(), Quantile(0.5), lengths.Sum(length => (double)length.Key * length.Value) / count, Quantile(0.95),
            lengths.Keys.Last());
    }
}

/// <summary>What a data set is like, once tokenized: how much there is, how long, what was dropped or cut, what is repeated. To
/// be read before training.</summary>
/// <remarks>
/// <para><c>Console.WriteLine(DataDescription.Of(data.Examples, report));</c></para>
/// <para>Completions that <see cref="PreferenceData.WithMismatches"/> added do not count.</para>
/// </remarks>
public sealed record DataDescription
{
    /// <summary>Rows read, dropped (by reason) and truncated on the way; null where no report was given.</summary>
    public DataReport? Report { get; private init; }

    /// <summary>Examples: a prompt with its completions.</summary>
    public int Examples { get; private init; }

    /// <summary>Different prompts.</summary>
    public int Prompts { get; private init; }

    /// <summary>Completions of all examples.</summary>
    public int Completions { get; private init; }

    /// <summary>Pairs of all examples.</summary>
    public int Pairs { get; private init; }

    /// <summary>Lengths of prompts, one for each example.</summary>
    public LengthSummary PromptTokens { get; private init; }

    /// <summary>Lengths of chosen completions, one for each pair; and of those labelled desirable.</summary>
    public LengthSummary ChosenTokens { get; private init; }

    /// <summary>Lengths of rejected completions, one for each pair; and of those labelled undesirable.</summary>
    public LengthSummary RejectedTokens { get; private init; }

    /// <summary>The share of pairs whose chosen completion has more tokens than the rejected one, from 0 to 1. Far from a half,
    /// the preferences can be told by length.</summary>
    public double ChosenLonger { get; private init; }

    /// <summary>Examples that were there before: the same tokens, pairs, ranking, scores and labels.</summary>
    public int Duplicates { get; private init; }

    /// <summary>Pairs that another one contradicts: of one prompt the same two completions, the other way round.</summary>
    public int ContradictoryPairs { get; private init; }

    /// <summary>Describes examples, which are gone through once; some bytes are kept of each.</summary>
    /// <param name="examples">The examples.</param>
    /// <param name="report">What the reader and the tokenizer counted.</param>
    public static DataDescription Of(IEnumerable<TokenizedExample> examples, DataReport? report = null)
    {
        ArgumentNullException.ThrowIfNull(examples);
        var (prompts, seen, pairs) = (
            new HashSet<UInt128>(), new HashSet<UInt128>(), new Dictionary<(UInt128, UInt128, UInt128), int>());
        var (promptLengths, chosenLengths, rejectedLengths) = (
            new SortedDictionary<int, int>(), new SortedDictionary<int, int>(), new SortedDictionary<int, int>());
        var (count, completions, pairCount, longer, duplicates) = (0, 0, 0, 0, 0);
        static void Count(SortedDictionary<int, int> lengths, IReadOnlyList<int> ids) =>
            lengths[ids.Count] = lengths.GetValueOrDefault(ids.Count) + 1;
        foreach (var example in examples)
        {
            count++;
            var own = example.Completions.SkipLast(example.MismatchedCount).ToArray();
            completions += own.Length;
            pairCount += example.Pairs.Count;
            Count(promptLengths, example.Prompt);
            foreach (var (chosen, rejected) in example.Pairs)
            {
                Count(chosenLengths, own[chosen]);
                Count(rejectedLengths, own[rejected]);
                longer += own[chosen].Count > own[rejected].Count ? 1 : 0;
            }
            foreach (var (index, label) in (example.Labels ?? []).Index())
                Count(label ? chosenLengths : rejectedLengths, own[index]);

            // Ids make texts too.
            static string Text(IReadOnlyList<int> ids) => string.Create(2 * ids.Count, ids, static (text, ids) =>
            {
                for (var index = 0; index < ids.Count; index++)
                    (text[2 * index], text[2 * index + 1]) = ((char)ids[index], (char)(ids[index] >> 16));
            });
            var same = new PreferenceExample(Text(example.Prompt), [.. own.Select(Text)], example.Pairs)
            {
                Ranking = example.Ranking,
                Scores = example.Scores,
                Labels = example.Labels,
            };
            var prompt = ContentHash.Of(same.Prompt);
            prompts.Add(prompt);
            duplicates += seen.Add(ContentHash.Of(same)) ? 0 : 1;
            UInt128[] hashes = [.. same.Completions.Select(text => ContentHash.Of(text))];
            foreach (var pair in example.Pairs)
            {
                var key = (prompt, hashes[pair.Chosen], hashes[pair.Rejected]);
                pairs[key] = pairs.GetValueOrDefault(key) + 1;
            }
        }
        return new DataDescription
        {
            Report = report,
            Examples = count,
            Prompts = prompts.Count,
            Completions = completions,
            Pairs = pairCount,
            PromptTokens = LengthSummary.Of(promptLengths),
            ChosenTokens = LengthSummary.Of(chosenLengths),
            RejectedTokens = LengthSummary.Of(rejectedLengths),
            ChosenLonger = pairCount == 0 ? 0 : (double)longer / pairCount,
            Duplicates = duplicates,
            ContradictoryPairs = pairs
                .Where(pair => pair.Key.Item2 != pair.Key.Item3
                    && pairs.ContainsKey((pair.Key.Item1, pair.Key.Item3, pair.Key.Item2)))
                .Sum(pair => pair.Value),
        };
    }

    /// <summary>A table of some ten lines.</summary>
    public override string ToString()
    {
        var text = new StringBuilder();
        void Line(FormattableString line) => text.Append(line.ToString(CultureInfo.InvariantCulture)).Append('\n');
        if (Report is { Read: > 0 } report)
            Line($"{report}");
        Line($"{Examples:N0} examples of {Prompts:N0} prompts: {Completions:N0} completions, {Pairs:N0} pairs");
        Line($"{"tokens",-10}{"min",8}{"median",8}{"mean",8}{"p95",8}{"max",8}");
        void Row(string name, LengthSummary lengths) =>
            Line($"{name,-10}{lengths.Min,8:N0}{lengths.Median,8:N0}{lengths.Mean,8:N1}{lengths.P95,8:N0}{lengths.Max,8:N0}");
        Row("prompt", PromptTokens);
        Row("chosen", ChosenTokens);
        Row("rejected", RejectedTokens);
        if (Pairs > 0)
            Line($"chosen is longer in {100 * ChosenLonger:N1} % of pairs");
        if (Report is { BeginningOfText: { } beginning })
            Line($"every prompt begins with {beginning}");
        if (Report is { Truncated: > 0 } cut)
            Line($"truncated {cut.Truncated:N0} rows by {cut.TokensCut:N0} tokens");
        if (Duplicates + ContradictoryPairs > 0)
            Line($"{Duplicates:N0} duplicate examples, {ContradictoryPairs:N0} contradictory pairs");
        return text.ToString().TrimEnd('\n');
    }
}
