
namespace Dpo.Batching;

/// <summary>What may be wrong with an example, whoever made it.</summary>
internal static class TokenizedExampleFault
{
    /// <summary>What makes no sense about an example, in words that follow "because"; null where all does.</summary>
    public static string? Of(TrainingExample example)
    {
        var completions = example.Completions;
        var own = completions.Count - example.MismatchedCount;
        bool HasOwn(int index) => index >= 0 && index < own;
        if (example.Prompt.Count == 0)
            return "its prompt has no token";
        if (completions.Count == 0)
            return "it has no completion";
        if (example.MismatchedCount < 0 || own < 0)
            return $"{example.MismatchedCount} of its {completions.Count} completions belong to other prompts";
        if (completions.Any(ids => ids.Count == 0))
            return "a completion has no token";
        if (completions.Prepend(example.Prompt).SelectMany(ids => ids).Any(id => id < 0))
            return $"it has the id {completions.Prepend(example.Prompt).SelectMany(ids => ids).First(id => id < 0)}";
        foreach (var (chosen, rejected) in example.Pairs)
        {
            if (!HasOwn(chosen) || !HasOwn(rejected) || chosen == rejected)
                return $"completions {chosen} and {rejected} of {own}, counted from 0, are no pair";
        }
        if (example.Ranking is { } ranking && !ranking.Order().SequenceEqual(Enumerable.Range(0, own)))
            return $"its ranking does not hold each of its {own} completions once";
        if (example.Scores is { } scores && scores.Count != own)
            return $"it has {scores.Count} scores for {own} completions";
        if (example.Labels is { } labels && labels.Count != own)
            return $"it has {labels.Count} labels for {own} completions";
        var lengths = completions.Select(ids => ids.Count);
        if (example.ReferenceLogProbs is { } references && !references.Select(values => values.Count).SequenceEqual(lengths))
            return "its reference log-probabilities belong to other completions";
        return null;
    }
}
