using Dpo.Batching;
using Dpo.Layout;
using Dpo.Models;

namespace Dpo.Training;

/// <summary>Whether a model can compute data: refused before a run begins, by the example's name.</summary>
internal static class ModelFit
{
    /// <summary>Refuses examples that are too long for the model, or hold ids that it does not know.</summary>
    /// <exception cref="InvalidInputException">The first of them, by name.</exception>
    public static void Require(CausalLanguageModel model, PreferenceData data)
    {
        if (data.Find(example => (long)example.PromptTokens + example.LongestCompletion - 1 > model.MaxPositions) is { } tooLong)
            throw new InvalidInputException(
                $"The example {tooLong.Source ?? "without a source"} is longer than the model's {model.MaxPositions} " +
                "positions; shorten it with a smaller maximum length.");
        // One completion, since an example may have more than are computed at once.
        var vocabulary = VocabularyCount.Of(
            model, () => new ExampleLengths(data.Examples[0].Prompt.Count, [data.Examples[0].Completions[0].Count]));
        if (data.Find(example => example.LargestId >= vocabulary) is { } unknown)
            throw new InvalidInputException(
                $"The example {unknown.Source ?? "without a source"} holds the token id " +
                $"{unknown.Completions.Prepend(unknown.Prompt).Max(ids => ids.Max())}, and the model's vocabulary has the ids " +
                $"0 to {vocabulary - 1}; tokenize the data with the model's own tokenizer.");
    }
}
