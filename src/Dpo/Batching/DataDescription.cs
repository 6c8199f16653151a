using System.Globalization;
using System.Text;
using Dpo.Data;
using Dpo.Tokenization;

namespace Dpo.Batching;

/// <summary>Lengths in tokens.</summary>
/// <param name="Min">The shortest.</param>
/// <param name="Median">The least length that at least half of them do not exceed.</param>
/// <param name="Mean">The mean.</param>
/// <param name="P95">The least length that at least 95 in 100 do not exceed.</param>
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
            var upTo = 0L;
            foreach (var (length, occurrences) in lengths)
            {
                upTo += occurrences;
                if (upTo >= share * count)
                    return length;
            }
            return lengths.Keys.Last();
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
        var tally = new DataTally();
        foreach (var example in examples)
            tally.Add(TrainingExample.Of(example));
        return new DataDescription
        {
            Report = report,
            Examples = tally.Examples,
            Prompts = tally.Prompts,
            Completions = tally.Completions,
            Pairs = tally.Pairs,
            PromptTokens = LengthSummary.Of(tally.PromptLengths),
            ChosenTokens = LengthSummary.Of(tally.ChosenLengths),
            RejectedTokens = LengthSummary.Of(tally.RejectedLengths),
            ChosenLonger = tally.Pairs == 0 ? 0 : (double)tally.ChosenLonger / tally.Pairs,
            Duplicates = tally.Duplicates,
            ContradictoryPairs = tally.ContradictoryPairs(),
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
