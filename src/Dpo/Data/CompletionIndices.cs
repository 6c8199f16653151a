namespace Dpo.Data;

/// <summary>Indices into an example's completions, and whether there is such a completion.</summary>
internal static class CompletionIndices
{
    /// <summary>The pairs, all of whose completions are there.</summary>
    /// <exception cref="ArgumentException">One is not.</exception>
    public static IReadOnlyList<PreferencePair> Within(IReadOnlyList<PreferencePair> pairs, int completions)
    {
        ArgumentNullException.ThrowIfNull(pairs);
        for (var index = 0; index < pairs.Count; index++)
        {
            var (chosen, rejected) = pairs[index];
            if (!IsWithin(chosen, completions) || !IsWithin(rejected, completions))
                throw new ArgumentException(
                    $"The example has the pair ({chosen}, {rejected}), but {Has(completions)}.", nameof(pairs));
        }
        return pairs;
    }

    /// <summary>The ranking, all of whose completions are there.</summary>
    /// <exception cref="ArgumentException">One is not, or is ranked twice.</exception>
    public static IReadOnlyList<int>? Within(IReadOnlyList<int>? ranking, int completions)
    {
        var ranked = new HashSet<int>();
        foreach (var index in ranking ?? [])
        {
            if (!IsWithin(index, completions))
                throw new ArgumentException(
                    $"The example ranks the completion {index}, but {Has(completions)}.", nameof(ranking));
            if (!ranked.Add(index))
                throw new ArgumentException($"The example ranks the completion {index} twice.", nameof(ranking));
        }
        return ranking;
    }

    private static bool IsWithin(int index, int completions) => index >= 0 && index < completions;

    private static string Has(int completions) => completions switch
    {
        0 => "has no completion",
        1 => "has one completion, whose index is 0",
        _ => $"has {completions} completions, whose indices are 0 to {completions - 1}",
    };
}
