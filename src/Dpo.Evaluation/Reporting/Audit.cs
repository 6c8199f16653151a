using System.Globalization;
using Dpo.Evaluation.Measuring;

namespace Dpo.Evaluation.Reporting;

/// <summary>An audit of data in words, for a report.</summary>
public static class Audit
{
    /// <summary>What an audit found, by name.</summary>
    /// <param name="audit">The audit.</param>
    public static IReadOnlyDictionary<string, string> InWords(DataAudit audit)
    {
        ArgumentNullException.ThrowIfNull(audit);
        var words = new Dictionary<string, string>
        {
            ["examples"] = Count(audit.Examples),
            ["pairs"] = Count(audit.Pairs),
        };
        if (audit is { ChosenLength: { } chosen, RejectedLength: { } rejected })
            words["characters of a completion"] =
                $"chosen {Number(chosen.Value)} ± {Number(chosen.StandardError)}, " +
                $"rejected {Number(rejected.Value)} ± {Number(rejected.StandardError)}";
        if (audit.LongerIsChosen is { } longer)
            words["the longer one is chosen"] =
                $"{Share(longer.Value)} of pairs (95 %: {Share(longer.Interval.Low)} to {Share(longer.Interval.High)})";
        words["examples that were there before"] = Count(audit.Duplicates);
        words["pairs that another contradicts"] = Count(audit.ContradictoryPairs);
        words["pairs that hardly differ"] = Count(audit.NearIdentical.Count);
        if (audit.PromptsInBoth is { } inBoth)
            words["held-out prompts that are trained on"] = Count(inBoth.Count);
        return words;

        static string Count(int count) => count.ToString("N0", CultureInfo.InvariantCulture);
        static string Number(double value) => value.ToString("0.#", CultureInfo.InvariantCulture);
        static string Share(double value) => (100 * value).ToString("0.#", CultureInfo.InvariantCulture) + " %";
    }
}
