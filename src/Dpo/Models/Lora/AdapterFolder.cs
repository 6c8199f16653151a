using System.Collections.ObjectModel;
using System.Text.Json;
using System.Text.Json.Nodes;
using Dpo.Files;
using Dpo.Weights;
using static TorchSharp.torch;

namespace Dpo.Models.Lora;

/// <summary>Adapter folders in PEFT's layout: <c>adapter_config.json</c> and <c>adapter_model.safetensors</c>.</summary>
internal static class AdapterFolder
{
    private const string ConfigName = "adapter_config.json";
    private const string WeightsName = "adapter_model.safetensors";
    private const string TorchName = "adapter_model.bin";

    /// <summary>What PEFT puts before a module's name: its own two wrappers.</summary>
    private const string Prefix = "base_model.model.";

    /// <summary>What PEFT puts between the name of a layer that has an adapter and those of its own weights.</summary>
    private const string Wrapped = "base_layer.";

    /// <summary>Initializations that leave the base weights as they are; PiSSA, OLoRA and LoftQ change them.</summary>
    private static readonly string[] initializations = ["gaussian", "eva", "orthogonal"];

    /// <summary>Fields that change nothing in what is computed, whatever they say.</summary>
    private static readonly string[] notes =
    [
        "peft_version", "auto_mapping", "base_model_name_or_path", "revision", "inference_mode", "megatron_core",
        "qalora_group_size",
        // The layout of the base's weights; A and B lie the same way in either.
        "fan_in_fan_out",
    ];

    private static readonly Dictionary<string, LoraBias> biases = new()
    {
        ["none"] = LoraBias.None,
        ["lora_only"] = LoraBias.LoraOnly,
        ["all"] = LoraBias.All,
    };

    public static void Save(LoraAdapter adapter, string? baseModel, string folder)
    {
        var options = adapter.Options;
        (string, Tensor)[] weights =
            [.. adapter.Stored.Select(named => (StoredName(adapter.Plan, named.Name), (Tensor)named.Parameter))];
        FiniteWeights.Require(weights, $"The adapter was not written to {folder}");
        Directory.CreateDirectory(folder);
        var config = new JsonObject
        {
            ["peft_type"] = "LORA",
            ["task_type"] = "CAUSAL_LM",
            ["base_model_name_or_path"] = baseModel,
            ["inference_mode"] = true,
            ["r"] = options.Rank,
            ["lora_alpha"] = options.Alpha,
            ["use_rslora"] = options.UseRsLora,
            ["lora_dropout"] = options.Dropout,
            ["target_modules"] = Targets(adapter),
            ["fan_in_fan_out"] = adapter.Layers.Any(layer => layer.Layer.IsTransposed),
            ["bias"] = biases.Single(item => item.Value == options.Bias).Key,
            ["modules_to_save"] = options.ModulesToSave.Count > 0
                ? new JsonArray([.. options.ModulesToSave.Select(name => JsonValue.Create(name))]) : null,
            ["init_lora_weights"] = true,
        };
        if (options.RankPattern.Count > 0)
            config["rank_pattern"] = JsonSerializer.SerializeToNode(options.RankPattern);
        if (options.AlphaPattern.Count > 0)
            config["alpha_pattern"] = JsonSerializer.SerializeToNode(options.AlphaPattern);
        StrictJson.WriteFile(Path.Combine(folder, ConfigName), config);
        SafetensorsWriter.Write(Path.Combine(folder, WeightsName), weights);
    }

    /// <summary>Reads an adapter for a model, which does not change.</summary>
    public static LoraAdapter Load(TransformerModel model, string folder, bool baseInBFloat16)
    {
        if (!File.Exists(Path.Combine(folder, ConfigName)))
            throw new InvalidInputException($"{folder} has no {ConfigName}; give the folder of an adapter in PEFT's layout.");
        var config = ModelConfig.Read(folder, ConfigName);
        var options = OptionsOf(config, model) with { BaseInBFloat16 = baseInBFloat16 };
        var plan = PlanOf(model, options, folder);
        using var weights = OpenWeights(folder);
        var copy = KeepEmbeddings(plan, model, weights);
        var whole = WholeTensors(plan, weights);
        // Shapes are looked at before anything is made: a rank that the file has no numbers for costs nothing.
        weights.Require(
            [.. plan.Targets.SelectMany(target => new (string, IReadOnlyList<long>)[]
            {
                ($"{Prefix}{target.Name}.lora_A.weight", [target.Rank, target.Inputs]),
                ($"{Prefix}{target.Name}.lora_B.weight", [target.Outputs, target.Rank]),
            }), .. whole.Select(tensor => (tensor.Stored, tensor.Shape))],
            ignored: name => name == copy);
        var adapter = new LoraAdapter(plan, model.Device);
        try
        {
            Fill(adapter, weights, whole);
            return adapter;
        }
        catch
        {
            adapter.Free();
            throw;
        }
    }

    private static LoraPlan PlanOf(TransformerModel model, LoraOptions options, string folder)
    {
        try
        {
            return new LoraPlan(model, options);
        }
        catch (InvalidInputException e)
        {
            throw new InvalidInputException($"{Path.Combine(folder, ConfigName)}: {e.Message}", e);
        }
    }

    private static void Fill(
        LoraAdapter adapter, ModelWeights weights, List<(string Name, string Stored, IReadOnlyList<long> Shape)> whole)
    {
        using var scope = NewDisposeScope();
        foreach (var (name, parameter) in adapter.Matrices)
            weights.ReadInto(Prefix + name, parameter);
        foreach (var (name, stored, shape) in whole)
        {
            var values = empty([.. shape], dtype: ScalarType.Float32, device: CPU);
            weights.ReadInto(stored, values);
            adapter.Hold(name, values);
        }
    }

    /// <summary>Fills an adapter that a model has with the weights that <see cref="Save"/> wrote of one like it.</summary>
    public static void ReadWeights(LoraAdapter adapter, string folder)
    {
        using var weights = OpenWeights(folder);
        weights.LoadInto(
            [.. adapter.Stored.Select(named => (StoredName(adapter.Plan, named.Name), (Tensor)named.Parameter))], ignored: null);
    }

    private static ModelWeights OpenWeights(string folder)
    {
        var (path, older) = (Path.Combine(folder, WeightsName), Path.Combine(folder, TorchName));
        return ModelWeights.OpenFile(!File.Exists(path) && File.Exists(older) ? older : path);
    }

    /// <summary>What PEFT calls a parameter of the model: one of a layer that has an adapter lies a level deeper.</summary>
    private static string StoredName(LoraPlan plan, string name)
    {
        var end = name.LastIndexOf('.') + 1;
        return plan.Targets.Any(target => target.Name.Length == end - 1 && name.StartsWith(target.Name, StringComparison.Ordinal))
            ? $"{Prefix}{name[..end]}{Wrapped}{name[end..]}"
            : Prefix + name;
    }

    /// <summary>The name that a file has for a parameter: what PEFT calls it, or older versions did; null where it has
    /// none.</summary>
    private static string? Find(LoraPlan plan, ModelWeights weights, string name) =>
        ((string[])[StoredName(plan, name), Prefix + name]).FirstOrDefault(weights.Has);

    /// <summary>Notes embeddings that the file holds beside the adapter: the model's are exchanged for them.</summary>
    /// <returns>The stored name of an output head that is a copy of the token embedding it is tied to; null for none.</returns>
    private static string? KeepEmbeddings(LoraPlan plan, TransformerModel model, ModelWeights weights)
    {
        var (vectors, head) = plan.Embeddings;
        foreach (var name in (string[])[vectors, head, model.HeadName + ".bias"])
        {
            if (plan.Shapes.ContainsKey(name) && !plan.Whole.Contains(name) && !plan.Biases.Contains(name)
                && Find(plan, weights, name) is not null)
                plan.Kept.Add(name);
        }
        if (!model.IsTied || !plan.Kept.Contains(head))
            return null;
        if (plan.Kept.Contains(vectors))
        {
            using var values = empty([.. weights.Shape(Find(plan, weights, vectors)!)], dtype: ScalarType.Float32, device: CPU);
            if (!plan.NeedsOwnHead && weights.Shape(Find(plan, weights, head)!).SequenceEqual(values.shape)
                && !weights.Differ(Find(plan, weights, head)!, Find(plan, weights, vectors)!, values))
            {
                plan.Kept.Remove(head);
                return Find(plan, weights, head);
            }
        }
        plan.NeedsOwnHead = true;
        return null;
    }

    /// <summary>The tensors of the file that stand in for parameters of the model, with the shape that they must have.</summary>
    private static List<(string Name, string Stored, IReadOnlyList<long> Shape)> WholeTensors(LoraPlan plan, ModelWeights weights)
    {
        var (vectors, head) = plan.Embeddings;
        string[] names = [.. plan.Whole, .. plan.Biases, .. plan.Kept];
        // Of embeddings that come both, or are one, the file says how many rows they have.
        var rows = names.Contains(vectors) && (names.Contains(head) || !plan.NeedsOwnHead && plan.IsTied)
            && Find(plan, weights, vectors) is { } stored
            && weights.Shape(stored) is [var count, _] ? count : (long?)null;
        return [.. names
            // PEFT does not write the biases of `lora_only`, since it looks for them under their older names; they are the base's
            // then.
            .Where(name => plan.Options.Bias != LoraBias.LoraOnly || !plan.Biases.Contains(name)
                || Find(plan, weights, name) is not null)
            .Select(name => (name, Find(plan, weights, name) ?? StoredName(plan, name),
                rows is { } resized && (name == vectors || name == head)
                    ? [resized, plan.Shapes[name][1]]
                    : (IReadOnlyList<long>)plan.Shapes[name]))];
    }

    private static JsonNode Targets(LoraAdapter adapter)
    {
        if (adapter.Options.TargetPattern is { } pattern)
            return JsonValue.Create(pattern);
        // As PEFT does, whose own word for all linear layers would not be understood where a model has others.
        var names = adapter.Options.TargetModules is [LoraOptions.AllLinear]
            ? LoraTargets.Ends(adapter.Layers.Select(layer => layer.Name))
            : adapter.Options.TargetModules;
        return new JsonArray([.. names.Select(name => JsonValue.Create(name))]);
    }

    private static LoraOptions OptionsOf(ModelConfig config, TransformerModel model)
    {
        Require(config, "peft_type", null, "LORA");
        Require(config, "task_type", "CAUSAL_LM", "CAUSAL_LM");
        if (config.Find("init_lora_weights") is { ValueKind: not (JsonValueKind.True or JsonValueKind.False) })
            Require(config, "init_lora_weights", null, initializations);
        var dropout = config.Double("lora_dropout", 0);
        if (dropout >= 1)
            throw config.Wrong("lora_dropout", "it must be below 1");
        var alpha = config.Double("lora_alpha", 8);
        if (alpha == 0)
            throw config.Wrong("lora_alpha", "it must be above 0");
        var options = new LoraOptions
        {
            Rank = config.Int("r", 8),
            Alpha = alpha,
            UseRsLora = config.Bool("use_rslora", false),
            Dropout = dropout,
            RankPattern = Pattern<int>(config, "rank_pattern",
                value => value.TryGetInt32(out var rank) && rank is >= 1 and <= ModelConfig.Largest ? rank : null,
                "whole numbers from 1 on"),
            AlphaPattern = Pattern<double>(config, "alpha_pattern",
                value => value.TryGetDouble(out var own) && own > 0 && float.IsFinite((float)own) ? own : null,
                "numbers above 0"),
            ModulesToSave = config.Has("modules_to_save")
                ? [.. config.Strings("modules_to_save").Where(module => module == model.HeadName
                    || model.named_parameters().Any(named => LoraPlan.IsOf(module, named.name)))]
                : [],
            Bias = biases.TryGetValue(config.String("bias", "none"), out var bias)
                ? bias
                : throw config.Wrong("bias", "Dpo implements none, all, lora_only for adapters"),
        };
        RequireNothingElse(config);
        return WithTargets(options, config, model);
    }

    /// <summary>Refuses what <see cref="OptionsOf"/> does not read and is no mere note, unless it is empty.</summary>
    private static void RequireNothingElse(ModelConfig config)
    {
        string[] read =
        [
            "peft_type", "task_type", "bias", "init_lora_weights", "lora_dropout", "lora_alpha", "r", "use_rslora",
            "target_modules", "rank_pattern", "alpha_pattern",
            "modules_to_save",
        ];
        foreach (var field in config.Fields.Except(read).Except(notes))
        {
            if (!IsEmpty(config.Find(field)))
                throw config.Wrong(field, "Dpo implements adapters without it");
        }
    }

    /// <summary>An object of numbers by pattern.</summary>
    private static ReadOnlyDictionary<string, T> Pattern<T>(
        ModelConfig config, string field, Func<JsonElement, T?> read, string needed)
        where T : struct
    {
        if (config.Find(field) is not { } patterns)
            return ReadOnlyDictionary<string, T>.Empty;
        if (patterns.ValueKind != JsonValueKind.Object)
            throw Wrong();
        var values = new OrderedDictionary<string, T>();
        foreach (var item in patterns.EnumerateObject())
            values.Add(
                item.Name, item.Value.ValueKind == JsonValueKind.Number && read(item.Value) is { } value ? value : throw Wrong());
        return values.Count > 0 ? new ReadOnlyDictionary<string, T>(values) : ReadOnlyDictionary<string, T>.Empty;

        InvalidInputException Wrong() => config.Wrong(field, $"it must be an object of patterns and {needed}");
    }

    private static void Require(ModelConfig config, string field, string? fallback, params string[] implemented)
    {
        if (!implemented.Contains(config.String(field, fallback)))
            throw config.Wrong(field, $"Dpo implements {string.Join(", ", implemented)} for adapters");
    }

    /// <summary>Reads the targets. A name that the model does not have is no error in a file as long as another one is its, as in
    /// PEFT: the tensors decide.</summary>
    private static LoraOptions WithTargets(LoraOptions options, ModelConfig config, TransformerModel model)
    {
        if (config.Find("target_modules") is { ValueKind: JsonValueKind.String } text)
            return text.GetString() == LoraOptions.AllLinear ? options : options with { TargetPattern = text.GetString() };
        if (config.Find("target_modules") is not { ValueKind: JsonValueKind.Array } list
            || list.EnumerateArray().Any(item => item.ValueKind != JsonValueKind.String))
            throw config.Wrong("target_modules", "it must be a list of names, or a pattern");
        string[] targets = [.. list.EnumerateArray().Select(item => item.GetString()!)];
        string[] known = [.. targets.Where(target => target == model.HeadName
            || LoraTargets.Candidates(model).Exists(layer => LoraTargets.Names(target, layer.Name)))];
        return options with { TargetModules = known.Length > 0 ? known : targets };
    }

    private static bool IsEmpty(JsonElement? value) => value is not { } element || element.ValueKind switch
    {
        JsonValueKind.Null or JsonValueKind.False => true,
        JsonValueKind.Array => element.GetArrayLength() == 0,
        JsonValueKind.Object => !element.EnumerateObject().Any(),
        _ => false,
    };
}
