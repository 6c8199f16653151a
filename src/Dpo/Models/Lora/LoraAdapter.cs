using System.Globalization;
using Dpo.Models.Layers;
using TorchSharp.Modules;
using static TorchSharp.torch;

namespace Dpo.Models.Lora;

/// <summary>The LoRA adapter of a model: which layers it lies over, and what is done to all of them.</summary>
internal sealed class LoraAdapter : ModelAdapter
{
    private readonly LoraPlan plan;
    private readonly LoraDropout? dropout;
    private readonly Dictionary<string, Tensor> values = [];
    private List<(string Name, Projection Layer, LoraLayer Part)> parts = [];
    private List<(string Name, Parameter Parameter)> whole = [];
    private Dictionary<string, Projection> layerOfWeight = [];

    /// <summary>Makes the matrices of an adapter for a model, which does not change before <see cref="Attach"/>.</summary>
    public LoraAdapter(LoraPlan plan, Device device)
    {
        this.plan = plan;
        using var generator = new Generator((ulong)Options.Seed);
        dropout = Options.Dropout > 0 ? new LoraDropout(Options.Dropout, Options.Seed) : null;
        foreach (var target in plan.Targets)
        {
            var part = LoraLayer.Create(target.Inputs, target.Outputs, target.Rank, target.Scale, device, generator, dropout);
            parts.Add((target.Name, target.Layer!, part));
        }
    }

    /// <summary>Which weights it changes.</summary>
    public LoraPlan Plan => plan;

    /// <summary>What it was made with.</summary>
    public LoraOptions Options => plan.Options;

    /// <inheritdoc/>
    public override AdapterDescription Description => new(Options.ScaleDescription, string.Create(
        CultureInfo.InvariantCulture,
        $"rank {Options.Rank}, scale {Options.ScaleDescription}, dropout {Options.Dropout:r}, seed {Options.Seed}"));

    /// <inheritdoc/>
    public override long DropoutDraws
    {
        get => dropout?.Draws ?? 0;
        set
        {
            if (dropout is not null)
                dropout.Draws = value;
        }
    }

    /// <summary>The layers that it lies over, with their full names.</summary>
    public IEnumerable<(string Name, Projection Layer)> Layers => parts.Select(part => (part.Name, part.Layer));

    /// <summary>Its two matrices of each layer under the names they have in the model, such as
    /// <c>transformer.h.0.attn.c_attn.lora_A.weight</c>.</summary>
    public IEnumerable<(string Name, Parameter Parameter)> Matrices => parts.SelectMany(part => new[]
    {
        ($"{part.Name}.lora_A.weight", (Parameter)part.Part.A.Weight),
        ($"{part.Name}.lora_B.weight", (Parameter)part.Part.B.Weight),
    });

    /// <summary>All weights that are trained: the matrices, and what is trained whole.</summary>
    public override IEnumerable<(string Name, Parameter Parameter)> Parameters =>
        Matrices.Concat(whole.Where(named => !plan.Kept.Contains(named.Name)));

    /// <summary>All weights that belong to it and not to the base; once it is attached.</summary>
    public IEnumerable<(string Name, Parameter Parameter)> Stored => Matrices.Concat(whole);

    /// <summary>Gives it the values that a parameter of the model's own has from <see cref="Attach"/> on.</summary>
    public void Hold(string name, Tensor tensor) => values.Add(name, tensor.DetachFromDisposeScope());

    /// <inheritdoc/>
    public override void Attach(TransformerModel model)
    {
        using var noGrad = no_grad();
        foreach (var parameter in model.parameters())
            parameter.requires_grad = false;
        if (Options.BaseInBFloat16)
            model.StoreMatrices(ScalarType.BFloat16, areFilled: true);
        if (plan.NeedsOwnHead && model.IsTied)
            model.Untie();
        parts = parts.ConvertAll(part => (part.Name, part.Layer ?? model.OwnHeadLayer!, part.Part));
        layerOfWeight = parts.ToDictionary(part => $"{part.Name}.weight", part => part.Layer);
        AttachWhole(model);
        foreach (var (_, layer, part) in parts)
            layer.Attach(part);
        if (Options.Dropout > 0)
            model.train();
    }

    /// <summary>Gives parameters of the model's own the adapter's values, and frees those that are trained, which are fp32
    /// whatever the base is kept in.</summary>
    private void AttachWhole(TransformerModel model)
    {
        using var scope = NewDisposeScope();
        var modules = model.named_modules().ToDictionary(named => named.name, named => named.module);
        var names = plan.Whole.Concat(plan.Biases).Concat(plan.Kept).ToList();
        var parameters = model.named_parameters().ToDictionary(named => named.name, named => named.parameter);
        foreach (var name in names)
        {
            var (old, isTrained) = (parameters[name], !plan.Kept.Contains(name));
            var dtype = isTrained ? ScalarType.Float32 : old.dtype;
            var replacement = (values.TryGetValue(name, out var held) ? held : old.detach()).to(dtype, copy: true).to(old.device);
            var module = modules[name[..name.LastIndexOf('.')]];
            if (module is Projection layer && layer.Weight.Handle == old.Handle)
                layer.Replace(replacement, isTrained);
            else if (module is EmbeddingTable table)
                table.Replace(replacement, isTrained);
            else
            {
                old.copy_(replacement);
                old.requires_grad = isTrained;
            }
            held?.Dispose();
        }
        values.Clear();
        parameters = model.named_parameters().ToDictionary(named => named.name, named => named.parameter);
        whole = names.ConvertAll(name => (name, parameters[name]));
        model.NoteVocabularySize();
    }

    /// <inheritdoc/>
    public override void Save(string? baseModel, string folder) => AdapterFolder.Save(this, baseModel, folder);

    /// <inheritdoc/>
    public override void Read(string folder) => AdapterFolder.ReadWeights(this, folder);

    /// <inheritdoc/>
    public override Tensor? InMergedModel(string name, Parameter parameter) =>
        layerOfWeight.TryGetValue(name, out var layer) ? layer.MergedWeight()
        : Matrices.Any(own => own.Name == name) ? null
        : parameter;

    /// <summary>Frees an adapter that was not attached.</summary>
    public void Free()
    {
        foreach (var (_, _, part) in parts)
        {
            part.A.Dispose();
            part.B.Dispose();
        }
        foreach (var tensor in values.Values)
            tensor.Dispose();
    }

    protected override void ChangeLayers(bool merge)
    {
        foreach (var (_, layer, _) in parts)
        {
            if (merge)
                layer.Merge();
            else
                layer.Unmerge();
        }
    }
}
