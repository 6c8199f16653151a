using static TorchSharp.torch;

namespace Dpo.Benchmarks;

/// <summary>The matrix products of a token step, with the weights that generation holds at the time.</summary>
internal sealed class LinearLayers
{
    private readonly (Projection Layer, Tensor Input)[] layers;
    private readonly OutputHead head;
    private readonly Tensor headInput;

    public LinearLayers(TransformerModel model, int batch)
    {
        using var generator = new Generator(0);
        Tensor Input(long width) => randn([batch, width], generator: generator).to(model.ComputeType);
        using var noGrad = no_grad();
        layers = [.. model.modules().OfType<Projection>().Select(layer => (layer, Input(Inputs(layer))))];
        headInput = Input(model.Head.Weight!.shape[1]);
        head = model.Head with { Weight = model.Head.Weight!.detach().to(model.ComputeType) };
    }

    /// <summary>Repeats them once.</summary>
    public void Run()
    {
        foreach (var (layer, input) in layers)
        {
            using var scope = NewDisposeScope();
            layer.call(input);
        }
        using var headScope = NewDisposeScope();
        head.Logits(headInput);
    }

    private static long Inputs(Projection layer)
    {
        var weight = layer.parameters().Single(parameter => parameter.dim() == 2);
        return layer is Conv1D ? weight.shape[0] : weight.shape[1];
    }
}
