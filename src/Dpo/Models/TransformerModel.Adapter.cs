using static TorchSharp.torch;

namespace Dpo.Models;

// The adapter that may lie over a model's weights.
public abstract partial class TransformerModel
{
    /// <summary>The adapter, or null.</summary>
    internal ModelAdapter? Adapter { get; private set; }

    /// <summary>Whether the model computes with merged weights.</summary>
    internal bool IsMerged => Adapter is { IsMerged: true };

    /// <summary>
    /// Has the model compute with W + scale · BA in place of two products, which is faster; the result is the same to rounding.
    /// Takes the memory of the adapted weights in fp32, since the weights themselves stay for <see cref="UnmergeAdapter"/>. A
    /// merged model cannot be trained, and stays on its device. Nothing happens where it is merged already.
    /// </summary>
    /// <remarks>For a merged model without that memory, <see cref="Save"/> it and load the folder.</remarks>
    /// <exception cref="InvalidOperationException">The model has no adapter.</exception>
    public void MergeAdapter() => RequireAdapter().SetMerged(true);

    /// <summary>Undoes <see cref="MergeAdapter"/>: the model is to the bit what it was. Nothing happens where it is not
    /// merged.</summary>
    /// <exception cref="InvalidOperationException">The model has no adapter.</exception>
    public void UnmergeAdapter() => RequireAdapter().SetMerged(false);

    /// <summary>Lays an adapter over the model, which is made once it is known that there is none.</summary>
    /// <exception cref="InvalidOperationException">The model has an adapter.</exception>
    internal void Attach(Func<ModelAdapter> make)
    {
        if (Adapter is not null)
            throw new InvalidOperationException(
                "The model has an adapter already, and takes one at a time; to build on it, save the model, which adds it to the " +
                "weights, and load that folder.");
        var made = make();
        made.Attach(this);
        Adapter = made;
    }

    /// <summary>The adapter.</summary>
    /// <exception cref="InvalidOperationException">The model has none.</exception>
    internal ModelAdapter RequireAdapter() => Adapter ?? throw new InvalidOperationException(
        "The model has no adapter; give it one with AddLora or LoadAdapter.");

    /// <summary>The parameters of the model as if its adapter were merged, by name. Tensors that are made for that are of the
    /// current dispose scope.</summary>
    internal IEnumerable<(string Name, Tensor Tensor)> MergedParameters() => named_parameters()
        .Select(named => (named.name, Adapter is null ? named.parameter : Adapter.InMergedModel(named.name, named.parameter)))
        .Where(named => named.Item2 is not null)!;
}
