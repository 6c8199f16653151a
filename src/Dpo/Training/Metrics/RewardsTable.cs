using Dpo.Files;

namespace Dpo.Training.Metrics;

/// <summary>Rewards of pairs as a CSV file, for spreadsheets and data frames: a row a pair, with its source.</summary>
public static class RewardsTable
{
    private static readonly (string Name, Func<PairRewards, string> Field)[] columns =
    [
        ("source", pair => Csv.Field(pair.Source ?? "")),
        ("chosen", pair => Csv.Field(pair.Chosen)),
        ("rejected", pair => Csv.Field(pair.Rejected)),
        ("reward_chosen", pair => Csv.Field(pair.ChosenReward)),
        ("reward_rejected", pair => Csv.Field(pair.RejectedReward)),
        ("margin", pair => Csv.Field(pair.Margin)),
        ("logp_chosen", pair => Csv.Field(pair.ChosenLogProb)),
        ("logp_rejected", pair => Csv.Field(pair.RejectedLogProb)),
        ("reference_logp_chosen", pair => Csv.Field(pair.ChosenReferenceLogProb)),
        ("reference_logp_rejected", pair => Csv.Field(pair.RejectedReferenceLogProb)),
        ("tokens_chosen", pair => Csv.Field(pair.ChosenTokens)),
        ("tokens_rejected", pair => Csv.Field(pair.RejectedTokens)),
    ];

    /// <summary>Writes the pairs as they come, into a file that appears whole or not at all.</summary>
    /// <param name="path">The file; its folder must be there. One that is there is replaced.</param>
    /// <param name="pairs">The pairs, such as <c>Evaluator.Rewards</c> gives them.</param>
    public static void Write(string path, IEnumerable<PairRewards> pairs)
    {
        ArgumentNullException.ThrowIfNull(path);
        ArgumentNullException.ThrowIfNull(pairs);
        AtomicFile.Write(path, stream =>
        {
            using var writer = new StreamWriter(stream, leaveOpen: true);
            writer.Write(Csv.Line(columns.Select(column => column.Name)));
            foreach (var pair in pairs)
                writer.Write(Csv.Line(columns.Select(column => column.Field(pair))));
        });
    }
}
