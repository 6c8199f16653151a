using TorchSharp.Modules;
using static TorchSharp.torch;

namespace Dpo;

/// <summary>The LoRA adapter of a model: which layers it lies over, and what is done to all of them.</summary>
internal sealed class LoraAdapter
{
    private readonly List<(string Name, Projection Layer, LoraLayer Part)> parts = [];
    private readonly Dictionary<string, Projection> layerOfWeight;

    /// <summary>Makes an adapter for a model, which does not change before <see cref="Attach"/>.</summary>
    public LoraAdapter(Transformer model, LoraOptions options)
    {
        Options = options;
        using var generator = new Generator((ulong)options.Seed);
        Dropout = options.Dropout > 0 ? new LoraDropout(options.Dropout, options.Seed) : null;
        foreach (var (name, layer) in LoraTargets.Find(model, options))
            parts.Add((name, layer, LoraLayer.Create(layer, options, generator, Dropout)));
        layerOfWeight = parts.ToDictionary(part => $"{part.Name}.weight", part => part.Layer);
    }

    /// <summary>What it was made with.</summary>
    public LoraOptions Options { get; }

    /// <summary>The dropout that its layers share, or null.</summary>
    public LoraDropout? Dropout { get; }

    /// <summary>Whether the layers compute with merged weights.</summary>
    public bool IsMerged { get; private set; }

    /// <summary>The layers that it lies over, with their full names.</summary>
    public IEnumerable<(string Name, Projection Layer)> Layers => parts.Select(part => (part.Name, part.Layer));

    /// <summary>Its weights under the names they have in the model, such as <c>transformer.h.0.attn.c_attn.lora_A.weight</c>.</summary>
    public IEnumerable<(string Name, Parameter Parameter)> Parameters => parts.SelectMany(part => new[]
    {
        ($"{part.Name}.lora_A.weight", (Parameter)part.Part.A.Weight),
        ($"{part.Name}.lora_B.weight", (Parameter)part.Part.B.Weight),
    });

    /// <summary>Freezes the model and lays the adapter over it.</summary>
    public void Attach(Transformer model)
    {
        foreach (var parameter in model.parameters())
            parameter.requires_grad = false;
        if (Options.BaseInBFloat16)
            model.StoreMatrices(ScalarType.BFloat16, areFilled: true);
        foreach (var (_, layer, part) in parts)
            layer.Attach(part);
        if (Options.Dropout > 0)
            model.train();
    }

    /// <summary>Has the layers compute with merged weights; the adapter is frozen meanwhile.</summary>
    public void Merge()
    {
        foreach (var (_, layer, _) in parts)
            layer.Merge();
        SetMerged(true);
    }

    /// <summary>Undoes <see cref="Merge"/>.</summary>
    public void Unmerge()
    {
        foreach (var (_, layer, _) in parts)
            layer.Unmerge();
        SetMerged(false);
    }

    /// <summary>The tensor that stands for a parameter in a model without adapter: the merged weight, the parameter itself, or null
    /// for one of the adapter's own. Merged weights are of the current dispose scope.</summary>
    public Tensor? InMergedModel(string name, Parameter parameter) =>
        layerOfWeight.TryGetValue(name, out var layer) ? layer.MergedWeight()
        : Parameters.Any(own => own.Name == name) ? null
        : parameter;

    /// <summary>Frees an adapter that was not attached.</summary>
    public void Free()
    {
        foreach (var (_, _, part) in parts)
        {
            part.A.Dispose();
            part.B.Dispose();
        }
    }

    private void SetMerged(bool merged)
    {
        IsMerged = merged;
        foreach (var (_, parameter) in Parameters)
            parameter.requires_grad = !merged;
    }
}
