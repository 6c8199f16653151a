using Dpo.Batching;
using Dpo.Layout;
using Dpo.Models;
using static TorchSharp.torch;

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
        var vocabulary = Vocabulary(model, data);
        if (data.Find(example => example.LargestId >= vocabulary) is { } unknown)
            throw new InvalidInputException(
                $"The example {unknown.Source ?? "without a source"} holds the token id {unknown.Completions.Prepend(unknown.Prompt).Max(ids => ids.Max())}, and the " +
                $"model's vocabulary has the ids 0 to {vocabulary - 1}; tokenize the data with the model's own tokenizer.");
    }

    /// <summary>How many entries a model's vocabulary has. A module without a head of ours is asked by a sequence of the first example's
    /// size, all of token 0; what it draws at random on the CPU is drawn again by the first step.</summary>
    private static long Vocabulary(CausalLanguageModel model, PreferenceData data)
    {
        if (model.Head.Weight is { } weight)
            return weight.shape[0];
        using var scope = NewDisposeScope();
        using var noGrad = no_grad();
        var random = Generator.Default.get_state();
        var example = data.Examples[0];
        // One completion, since an example may have more than are computed at once.
        var layout = new SequenceLayout([new ExampleLengths(example.Prompt.Count, [example.Completions[0].Count])]);
        var vocabulary = model.call(zeros([layout.RowCount], int64, model.Device), layout).shape[1];
        Generator.Default.set_state(random);
        return vocabulary;
    }
}
