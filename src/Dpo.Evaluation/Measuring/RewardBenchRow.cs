using System.Text.Json;
using Dpo.Data;
using Dpo.Evaluation.Statistics;
using Dpo.Files;

namespace Dpo.Evaluation.Measuring;

/// <summary>A row of RewardBench (Lambert et al. 2024), or of a set in its format: a preference, and what it is a test
/// of.</summary>
public sealed record RewardBenchRow
{
    /// <summary>The row's id, a number or a text there.</summary>
    public required string Id { get; init; }

    /// <summary>What it is a test of, such as <c>alpacaeval-easy</c>.</summary>
    public required string Subset { get; init; }

    /// <summary>The prompt with its chosen and its rejected completion, to be tokenized and scored like any.</summary>
    public required PreferenceExample Example { get; init; }

    /// <summary>Reads a file of rows with <c>prompt</c>, <c>chosen</c>, <c>rejected</c>, <c>subset</c> and <c>id</c>; other
    /// fields are passed over.</summary>
    /// <param name="path">JSON, an object a line or an array of them; <c>.gz</c> is decompressed. Rows of Parquet files become
    /// such by <see cref="Of"/>.</param>
    /// <exception cref="InvalidInputException">The file cannot be read, or a row lacks a field.</exception>
    public static IEnumerable<RewardBenchRow> Read(string path)
    {
        foreach (var row in JsonRows.Of(path))
        {
            RewardBenchRow read;
            try
            {
                read = Of(StrictJson.Parse(row.Place, row.Json.ToArray()));
            }
            catch (BadRowException e)
            {
                throw new InvalidInputException(
                    $"{row.Place}: {e.Message}; give rows in RewardBench's format, with texts 'prompt', 'chosen', 'rejected' " +
                    "and 'subset' and an 'id'.", e);
            }
            yield return read with { Example = read.Example with { Source = row.Source } };
        }
    }

    /// <summary>Makes a row of its JSON, such as <c>PreferenceParquet.Read</c> gives to a function; its example has no source
    /// yet.</summary>
    /// <param name="row">An object.</param>
    /// <exception cref="BadRowException">It lacks a field.</exception>
    public static RewardBenchRow Of(JsonElement row) => new()
    {
        Id = row.TryField("id", out var id) && id.ValueKind is JsonValueKind.Number or JsonValueKind.String
            ? id.ToString() : throw new BadRowException("no number or text 'id'"),
        Subset = row.Text("subset"),
        Example = new PreferenceExample(row.Text("prompt"), row.Text("chosen"), row.Text("rejected")),
    };

    /// <summary>The accuracy of each subset: the share of its rows whose chosen completion has the higher reward, strictly, with
    /// Wilson's interval.</summary>
    /// <param name="rows">The rows.</param>
    /// <param name="margins">For each row the chosen completion's reward less the rejected one's.</param>
    /// <param name="level">Of the intervals; above 0 and below 1.</param>
    /// <returns>By subset, in the order in which they first come.</returns>
    public static IReadOnlyDictionary<string, Estimate> Accuracies(
        IReadOnlyList<RewardBenchRow> rows, IReadOnlyList<double> margins, double level = 0.95)
    {
        ArgumentNullException.ThrowIfNull(rows);
        ArgumentNullException.ThrowIfNull(margins);
        ArgumentOutOfRangeException.ThrowIfNotEqual(margins.Count, rows.Count);
        return Accuracies(rows.Zip(margins, (row, margin) => (row.Subset, margin)), level);
    }

    /// <summary>The accuracy of each subset, of pairs that were scored.</summary>
    internal static IReadOnlyDictionary<string, Estimate> Accuracies(
        IEnumerable<(string Subset, double Margin)> margins, double level = 0.95)
    {
        var accuracies = new OrderedDictionary<string, Estimate>(StringComparer.Ordinal);
        foreach (var subset in margins.GroupBy(row => row.Subset, StringComparer.Ordinal))
        {
            var right = subset.Count(row => row.Margin > 0);
            accuracies[subset.Key] = new WinRate(right, 0, subset.Count() - right).WithoutTies(level);
        }
        return accuracies;
    }
}
