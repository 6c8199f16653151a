using TorchSharp.Modules;
using static TorchSharp.torch;

namespace Dpo.Models;

/// <summary>What lies over a model's weights and is trained in their place; a model has one at most.</summary>
internal abstract class ModelAdapter
{
    /// <summary>Whether the layers compute with merged weights.</summary>
    public bool IsMerged { get; private set; }

    /// <summary>All weights that are trained, by the names they have in the model.</summary>
    public abstract IEnumerable<(string Name, Parameter Parameter)> Parameters { get; }

    /// <summary>How often dropout has drawn: all of the adapter's random state.</summary>
    public abstract long DropoutDraws { get; set; }

    /// <summary>What it was made with.</summary>
    public abstract AdapterDescription Description { get; }

    /// <summary>Freezes a model and lays the adapter over it.</summary>
    public abstract void Attach(TransformerModel model);

    /// <summary>Has the layers compute with merged weights, or with weight and adapter again; the adapter is frozen
    /// meanwhile.</summary>
    public void SetMerged(bool merged)
    {
        if (merged == IsMerged)
            return;
        ChangeLayers(merged);
        IsMerged = merged;
        foreach (var (_, parameter) in Parameters)
            parameter.requires_grad = !merged;
    }

    /// <summary>The tensor that stands for a parameter in a model without adapter: the merged weight, the parameter itself, or
    /// null for one of the adapter's own. Merged weights are of the current dispose scope.</summary>
    public abstract Tensor? InMergedModel(string name, Parameter parameter);

    /// <summary>Writes its weights into a folder, each file whole or not at all.</summary>
    /// <param name="baseModel">What the model was loaded from; null where it was made here.</param>
    /// <param name="folder">The folder; it is made where it is missing.</param>
    public abstract void Save(string? baseModel, string folder);

    /// <summary>Fills it with weights that <see cref="Save"/> wrote for one like it.</summary>
    public abstract void Read(string folder);

    /// <summary>Merges every layer, or undoes it.</summary>
    protected abstract void ChangeLayers(bool merge);
}
