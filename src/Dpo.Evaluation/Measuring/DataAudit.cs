using Dpo.Data;
using Dpo.Evaluation.Statistics;

namespace Dpo.Evaluation.Measuring;

/// <summary>A pair whose completions hardly differ.</summary>
/// <param name="Source">Where its example came from; null where it came from no file.</param>
/// <param name="Pair">The pair.</param>
/// <param name="Similarity">1 − edits / words of the longer completion: the share of words that need not be exchanged, put in or
/// taken out to make one of the other.</param>
public sealed record NearIdenticalPair(string? Source, PreferencePair Pair, double Similarity);

/// <summary>What preferences are like, before anything is trained on them: whether they can be told by length, what is repeated,
/// contradictory or hardly a preference, and whether held-out prompts were trained on. Labels that a model disputes are
/// <see cref="LabelNoise"/>'s.</summary>
public sealed record DataAudit
{
    /// <summary>Examples: a prompt with its completions.</summary>
    public required int Examples { get; init; }

    /// <summary>Pairs of all examples.</summary>
    public required int Pairs { get; init; }

    /// <summary>Characters of the chosen completions, one of each pair: their mean. Null of fewer than two pairs.</summary>
    public required Estimate? ChosenLength { get; init; }

    /// <summary>Characters of the rejected ones.</summary>
    public required Estimate? RejectedLength { get; init; }

    /// <summary>The length bias: how often the longer one of a pair is the chosen one, from 0 to 1, with Wilson's interval; pairs
    /// of equal lengths are left out. Far from ½ a model may learn length alone. Null where there are no others.</summary>
    public required Estimate? LongerIsChosen { get; init; }

    /// <summary>Examples that were there before: the same prompt, completions, pairs, ranking, scores and labels
    /// (<see cref="PreferenceCleaning.WithoutDuplicates"/> leaves them out).</summary>
    public required int Duplicates { get; init; }

    /// <summary>Pairs that another one contradicts: of one prompt the same two completions, the other way round
    /// (<see cref="PreferenceCleaning.WithoutContradictions"/>).</summary>
    public required int ContradictoryPairs { get; init; }

    /// <summary>Pairs whose completions hardly differ, in the order of the data; case does not count.</summary>
    public required IReadOnlyList<NearIdenticalPair> NearIdentical { get; init; }

    /// <summary>Prompts that are in both parts, each once: what is measured on them is no measure of what was not
    /// seen. Null where nothing was held out.</summary>
    public required IReadOnlyList<string>? PromptsInBoth { get; init; }

    /// <summary>Audits preferences. Every example is gone through once; its prompt's and its pairs' hashes are kept.</summary>
    /// <param name="examples">What is trained on.</param>
    /// <param name="heldOut">What is held out, of which only the prompts are looked at; nothing by default.</param>
    /// <param name="similarity">From which share of words on a pair counts as <see cref="NearIdentical"/>; above 0, at most 1.
    /// The time that it takes grows with the share that may differ.</param>
    /// <param name="level">Of the intervals; above 0 and below 1.</param>
    public static DataAudit Of(
        IEnumerable<PreferenceExample> examples, IEnumerable<PreferenceExample>? heldOut = null, double similarity = 0.9,
        double level = 0.95)
    {
        ArgumentNullException.ThrowIfNull(examples);
        if (!(similarity is > 0 and <= 1))
            throw new ArgumentOutOfRangeException(nameof(similarity), similarity, "A share of words is above 0 and at most 1.");
        List<double> chosen = [], rejected = [];
        List<NearIdenticalPair> alike = [];
        HashSet<UInt128> seen = [], prompts = [];
        Dictionary<(UInt128 Pair, UInt128 Opposite), int> directions = [];
        var (count, duplicates) = (0, 0);
        foreach (var example in examples)
        {
            count++;
            duplicates += seen.Add(ContentHash.Of(example)) ? 0 : 1;
            prompts.Add(ContentHash.Of(example.Prompt));
            foreach (var pair in example.Pairs)
            {
                var (better, worse) = (example.Completions[pair.Chosen], example.Completions[pair.Rejected]);
                chosen.Add(better.Length);
                rejected.Add(worse.Length);
                if (WordDistance.Similarity(better, worse, similarity) is { } share)
                    alike.Add(new NearIdenticalPair(example.Source, pair, share));
                var key = (
                    ContentHash.Of(example, pair), ContentHash.Of(example, new PreferencePair(pair.Rejected, pair.Chosen)));
                directions[key] = directions.GetValueOrDefault(key) + 1;
            }
        }
        var longer = chosen.Zip(rejected).Count(lengths => lengths.First > lengths.Second);
        var shorter = chosen.Zip(rejected).Count(lengths => lengths.First < lengths.Second);
        return new DataAudit
        {
            Examples = count,
            Pairs = chosen.Count,
            ChosenLength = chosen.Count < 2 ? null : Estimate.OfMean(chosen, level),
            RejectedLength = chosen.Count < 2 ? null : Estimate.OfMean(rejected, level),
            LongerIsChosen = longer + shorter == 0 ? null : new WinRate(longer, 0, shorter).WithoutTies(level),
            Duplicates = duplicates,
            ContradictoryPairs = directions.Where(one => directions.ContainsKey((one.Key.Opposite, one.Key.Pair)))
                .Sum(one => one.Value),
            NearIdentical = alike,
            PromptsInBoth = heldOut is null ? null :
            [
                .. heldOut.Select(example => example.Prompt).Distinct(StringComparer.Ordinal)
                    .Where(prompt => prompts.Contains(ContentHash.Of(prompt))),
            ],
        };
    }
}
