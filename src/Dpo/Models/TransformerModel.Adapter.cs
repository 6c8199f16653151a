using Dpo.Weights;
using TorchSharp.Modules;
using static TorchSharp.torch;

namespace Dpo.Models;

// The adapter that may lie over a model's weights.
public abstract partial class TransformerModel
{
    /// <summary>The adapter, or null.</summary>
    internal ModelAdapter? Adapter { get; private set; }

    /// <summary>Whether the model computes with merged weights.</summary>
    internal override bool IsMerged => Adapter is { IsMerged: true };

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
                "The model has an adapter already, and takes one at a time; to build on it, save the model, " +
                "which adds it to the weights, and load that folder.");
        var made = make();
        made.Attach(this);
        Adapter = made;
    }

    /// <summary>The adapter.</summary>
    /// <exception cref="InvalidOperationException">The model has none.</exception>
    internal ModelAdapter RequireAdapter() => Adapter ?? throw new InvalidOperationException(
        "The model has no adapter; give it one with AddLora or LoadAdapter.");

    internal override long DropoutDraws
    {
        get => Adapter?.DropoutDraws ?? 0;
        set
        {
            if (Adapter is not null)
                Adapter.DropoutDraws = value;
        }
    }

    /// <summary>Writes a folder that <c>LoadAdapter</c>, or <see cref="CausalLanguageModel.Load"/>, takes; but for an adapter
    /// that is trained together with other weights.</summary>
    internal override void WriteTrained(string folder, IReadOnlyList<(string Name, Parameter Parameter)> trained)
    {
        if (IsAdapter(trained))
            Adapter!.Save(LoadedFrom, folder);
        else if (Adapter is null)
            Save(folder);
        else
            base.WriteTrained(folder, trained);
    }

    internal override void ReadTrained(string folder, IReadOnlyList<(string Name, Parameter Parameter)> trained)
    {
        if (IsAdapter(trained))
        {
            Adapter!.Read(folder);
        }
        else if (Adapter is null)
        {
            using var weights = ModelWeights.OpenFile(Path.Combine(folder, ModelWeights.FileName));
            weights.LoadInto([.. named_parameters().Select(named => (named.name, (Tensor)named.parameter))], ignored: null);
        }
        else
        {
            base.ReadTrained(folder, trained);
        }
    }

    /// <summary>Whether weights are the adapter's and no others.</summary>
    private bool IsAdapter(IReadOnlyList<(string Name, Parameter Parameter)> trained) =>
        Adapter?.Parameters.Select(named => named.Parameter.Handle).ToHashSet() is { Count: > 0 } own
        && own.SetEquals(trained.Select(named => named.Parameter.Handle));

    /// <summary>The parameters of the model as if its adapter were merged, by name. Tensors that are made for that are of the
    /// current dispose scope.</summary>
    internal IEnumerable<(string Name, Tensor Tensor)> MergedParameters() => named_parameters()
        .Select(named => (named.name, Adapter is null ? named.parameter : Adapter.InMergedModel(named.name, named.parameter)))
        .Where(named => named.Item2 is not null)!;
}
