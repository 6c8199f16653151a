using Dpo.Layout;
using static TorchSharp.torch;

namespace Dpo.Models;

/// <summary>How many entries a model's vocabulary has.</summary>
internal static class VocabularyCount
{
    /// <summary>The width of the head, or of a scalar one's token embedding. A module without our head is run once, on a sequence
    /// of token 0, to see; the CPU's random generator is as it was afterwards.</summary>
    /// <param name="model">The model.</param>
    /// <param name="sequence">The size of a sequence that the model will be given; asked where it is needed.</param>
    public static long Of(CausalLanguageModel model, Func<ExampleLengths> sequence)
    {
        if (model is TransformerModel transformer)
            return transformer.VocabularySize;
        if (model.Head.Weight is { } weight)
            return weight.shape[0];
        using var scope = NewDisposeScope();
        using var noGrad = no_grad();
        var random = Generator.Default.get_state();
        var layout = new SequenceLayout([sequence()]);
        var vocabulary = model.call(zeros([layout.RowCount], int64, model.Device), layout).shape[1];
        Generator.Default.set_state(random);
        return vocabulary;
    }
}
