using System.Text.Json;

namespace Dpo.Data;

/// <summary>The rows of <see cref="PreferenceJsonLines"/> that say more of completions than which of two was preferred.</summary>
internal static class RatedRows
{
    /// <summary>Every completion makes a pair with every other: half a million are still no matter, and twice the completions are
    /// four times the pairs.</summary>
    private const int MostCompletions = 1024;

    /// <summary>Adds the scores of a row's pair, where it has them; a margin is the score of the chosen completion above
    /// 0.</summary>
    public static PreferenceExample Scored(PreferenceExample pair, DataRow row)
    {
        var (hasChosen, hasRejected) = (
            row.TryGet("score_chosen", out var chosen), row.TryGet("score_rejected", out var rejected));
        if (hasChosen != hasRejected)
            throw new BadRowException(hasChosen ? "no field 'score_rejected'" : "no field 'score_chosen'");
        if (hasChosen)
            return pair with { Scores = [Number(chosen, "score_chosen"), Number(rejected, "score_rejected")] };
        return row.TryGet("margin", out var margin) ? pair with { Scores = [Number(margin, "margin"), 0] } : pair;
    }

    /// <summary>A completion that was labelled by itself.</summary>
    public static PreferenceExample Labelled(JsonElement completion, DataRow row) => Unrated(row, [completion]) with
    {
        Labels = [row.Get("label").Flag() ?? throw new BadRowException("'label' is neither true nor false, and neither 1 nor 0")],
    };

    /// <summary>Completions in order of preference, or each with its score.</summary>
    public static PreferenceExample Ranked(JsonElement list, DataRow row)
    {
        if (list.ValueKind != JsonValueKind.Array || list.GetArrayLength() < 2)
            throw new BadRowException("'completions' is no list of two or more");
        if (list.GetArrayLength() > MostCompletions)
            throw new BadRowException($"'completions' holds more than {MostCompletions}, which would make too many pairs");
        var example = Unrated(row, [.. list.EnumerateArray()]);
        var completions = example.Completions;
        if (completions.Distinct(StringComparer.Ordinal).Count() < completions.Count)
            throw new BadRowException("identical completions");

        var scores = row.TryGet("scores", out var scoreList) ? Numbers(scoreList, "scores", completions.Count) : null;
        var ranking = row.TryGet("ranking", out var rankingList) ? Ranking(rankingList, completions.Count) : null;
        if (scores is null && ranking is null)
            throw new BadRowException("neither a field 'ranking' nor 'scores'");
        // Scores without ties are a ranking too.
        if (ranking is null && scores!.Distinct().Count() == scores!.Length)
            ranking = [.. Enumerable.Range(0, completions.Count).OrderByDescending(index => scores[index])];

        int[] places = ranking is null ? [] : [.. Enumerable.Range(0, ranking.Length).OrderBy(place => ranking[place])];
        bool Better(int one, int two) => ranking is null ? scores![one] > scores[two] : places[one] < places[two];
        var indices = Enumerable.Range(0, completions.Count);
        PreferencePair[] pairs =
            [.. from chosen in indices from rejected in indices
                where Better(chosen, rejected) select new PreferencePair(chosen, rejected)];
        if (pairs.Length == 0)
            throw new BadRowException("all completions have one score");
        return example with { Pairs = pairs, Ranking = ranking, Scores = scores };
    }

    private static int[] Ranking(JsonElement list, int count)
    {
        int[] order = [.. Numbers(list, "ranking", count).Select(index => index == Math.Floor(index) ? (int)index : -1)];
        return order.Order().SequenceEqual(Enumerable.Range(0, count))
            ? order
            : throw new BadRowException("'ranking' does not hold the index of every completion once");
    }

    /// <summary>A prompt and its completions, texts or messages like it.</summary>
    private static PreferenceExample Unrated(DataRow row, JsonElement[] completions)
    {
        var prompt = row.RequiredPrompt;
        if (prompt.Messages is not null)
            return ConversationRows.Read(row, completions);
        string[] texts = [.. completions.Select(item =>
            item.ValueKind == JsonValueKind.String
                ? item.GetString()!
                : throw new BadRowException("a completion is not a text"))];
        return texts.Any(string.IsNullOrWhiteSpace)
            ? throw new BadRowException("empty completion")
            : new PreferenceExample(prompt.Text, texts, []) { Source = row.Source };
    }

    private static float[] Numbers(JsonElement list, string name, int count)
    {
        if (list.ValueKind != JsonValueKind.Array || list.GetArrayLength() != count)
            throw new BadRowException($"'{name}' does not hold a number for every completion");
        return [.. list.EnumerateArray().Select(item => Number(item, name))];
    }

    private static float Number(JsonElement value, string name) =>
        value.ValueKind == JsonValueKind.Number && value.TryGetSingle(out var number) && float.IsFinite(number)
            ? number
            : throw new BadRowException($"'{name}' holds what is no number");
}
