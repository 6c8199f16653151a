using Dpo.Models.Layers;

namespace Dpo.Models.Lora;

/// <summary>A linear layer that an adapter lies over.</summary>
/// <param name="Name">The layer's full name.</param>
/// <param name="Layer">The layer; null for an output head that is still tied to the token embedding.</param>
/// <param name="Outputs">Rows of its weight as <c>[out, in]</c>.</param>
/// <param name="Inputs">Columns of it.</param>
/// <param name="Rank">The rank of its change.</param>
/// <param name="Scale">What its change is multiplied by.</param>
internal sealed record LoraTarget(string Name, Projection? Layer, int Outputs, int Inputs, int Rank, double Scale);

/// <summary>Which weights of a model an adapter changes, known before anything is made for it and before the model
/// changes.</summary>
internal sealed class LoraPlan
{
    private readonly string vectors;
    private readonly string head;

    /// <summary>Works out what options mean for a model.</summary>
    /// <exception cref="InvalidInputException">A name of the options is none of the model's.</exception>
    public LoraPlan(TransformerModel model, LoraOptions options)
    {
        Options = options;
        IsTied = model.IsTied;
        (vectors, head) = (model.TokenVectorsName, model.HeadName + ".weight");
        Shapes = model.named_parameters().ToDictionary(named => named.name, named => named.parameter.shape);
        Shapes.TryAdd(head, Shapes[vectors]);
        Whole = options.ModulesToSave.SelectMany(module => WholeModule(module)).Distinct().ToList();
        Targets = [.. LoraTargets.Find(model, options)
            .Where(target => !Whole.Exists(name => name.StartsWith(target.Name + ".", StringComparison.Ordinal)))
            .Select(target => Target(target.Name, target.Layer))];
        Biases = options.Bias switch
        {
            LoraBias.All => [.. Shapes.Keys.Where(name => name.EndsWith("bias", StringComparison.Ordinal)).Except(Whole)],
            LoraBias.LoraOnly => [.. Targets.Select(target => target.Name + ".bias").Where(Shapes.ContainsKey)],
            _ => [],
        };
        NeedsOwnHead = Targets.Any(target => target.Layer is null) || Whole.Contains(head) || Whole.Contains(vectors);
    }

    /// <summary>What was asked for.</summary>
    public LoraOptions Options { get; }

    /// <summary>The shape of every parameter of the model, and of an output head even where it is tied.</summary>
    public Dictionary<string, long[]> Shapes { get; }

    /// <summary>The layers that get two thin matrices.</summary>
    public IReadOnlyList<LoraTarget> Targets { get; }

    /// <summary>The parameters that are trained whole, as parts of <see cref="LoraOptions.ModulesToSave"/>.</summary>
    public List<string> Whole { get; }

    /// <summary>The biases that are trained.</summary>
    public IReadOnlyList<string> Biases { get; }

    /// <summary>Parameters that are frozen but are the adapter's and not the base's: embeddings that PEFT saved beside
    /// it.</summary>
    public List<string> Kept { get; } = [];

    /// <summary>Whether the output head is the token embedding as yet.</summary>
    public bool IsTied { get; }

    /// <summary>Whether an output head that is tied to the token embedding must get a weight of its own.</summary>
    public bool NeedsOwnHead { get; set; }

    /// <summary>The names of the token embedding and of the output head, whose parameters PEFT may save too.</summary>
    public (string Vectors, string Head) Embeddings => (vectors, head);

    /// <summary>Refuses ranks that make an adapter much larger than the layer: nothing is gained by them.</summary>
    public void RequireUsefulRanks()
    {
        const int alwaysAllowed = 1024; // small layers make small matrices of it
        static int Most(LoraTarget target) => Math.Max(alwaysAllowed, Math.Max(target.Inputs, target.Outputs));

        if (Targets.FirstOrDefault(target => target.Rank > Most(target)) is { } target)
            throw new InvalidInputException(
                $"A LoRA rank of {target.Rank} is more than the layer {target.Name} of {target.Inputs} inputs and " +
                $"{target.Outputs} outputs can use; give at most {Most(target)}.");
    }

    /// <summary>Whether a parameter lies in a module of a name, or of an end of a name behind a dot.</summary>
    public static bool IsOf(string module, string parameter) =>
        parameter.StartsWith(module + ".", StringComparison.Ordinal)
        || parameter.Contains($".{module}.", StringComparison.Ordinal);

    private IEnumerable<string> WholeModule(string module)
    {
        var names = Shapes.Keys.Where(name => IsOf(module, name)).ToList();
        return names.Count > 0
            ? names
            : throw new InvalidInputException($"The module to save \"{module}\" is none of the model's that has weights.");
    }

    private LoraTarget Target(string name, Projection? layer)
    {
        var shape = layer is null ? Shapes[head]
            : layer.IsTransposed ? [layer.Weight.shape[1], layer.Weight.shape[0]]
            : layer.Weight.shape;
        var rank = Options.RankOf(name);
        return new LoraTarget(name, layer, (int)shape[0], (int)shape[1], rank, Options.ScaleOf(name));
    }
}
