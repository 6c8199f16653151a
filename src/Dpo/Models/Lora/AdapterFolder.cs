using System.Text.Json;
using System.Text.Json.Nodes;
using static TorchSharp.torch;

namespace Dpo;

/// <summary>Adapter folders in PEFT's layout: <c>adapter_config.json</c> and <c>adapter_model.safetensors</c>.</summary>
internal static class AdapterFolder
{
    private const string ConfigName = "adapter_config.json";
    private const string WeightsName = "adapter_model.safetensors";

    /// <summary>What PEFT puts before a module's name: its own two wrappers.</summary>
    private const string Prefix = "base_model.model.";

    /// <summary>Initializations that leave the base weights as they are; PiSSA, OLoRA and LoftQ change them.</summary>
    private static readonly string[] initializations = ["gaussian", "eva", "orthogonal"];

    /// <summary>Fields that change nothing in what is computed, whatever they say.</summary>
    private static readonly string[] notes =
    [
        "peft_version", "auto_mapping", "base_model_name_or_path", "revision", "inference_mode", "megatron_core", "qalora_group_size",
        // The layout of the base's weights; A and B lie the same way in either.
        "fan_in_fan_out",
    ];

    public static void Save(LoraAdapter adapter, string? baseModel, string folder)
    {
        var options = adapter.Options;
        (string, Tensor)[] weights = [.. adapter.Parameters.Select(named => (Prefix + named.Name, (Tensor)named.Parameter))];
        FiniteWeights.Require(weights, $"The adapter was not written to {folder}");
        Directory.CreateDirectory(folder);
        StrictJson.WriteFile(Path.Combine(folder, ConfigName), new JsonObject
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
            ["bias"] = "none",
            ["modules_to_save"] = null,
            ["init_lora_weights"] = true,
        });
        SafetensorsWriter.Write(Path.Combine(folder, WeightsName), weights);
    }

    /// <summary>Reads an adapter for a model, which does not change.</summary>
    public static LoraAdapter Load(Transformer model, string folder, bool baseInBFloat16)
    {
        if (!File.Exists(Path.Combine(folder, ConfigName)))
            throw new InvalidInputException($"{folder} has no {ConfigName}; give the folder of an adapter in PEFT's layout.");
        var config = ModelConfig.Read(folder, ConfigName);
        var options = OptionsOf(config, model) with { BaseInBFloat16 = baseInBFloat16 };
        LoraAdapter adapter;
        try
        {
            adapter = new LoraAdapter(model, options);
        }
        catch (InvalidInputException e)
        {
            throw new InvalidInputException($"{Path.Combine(folder, ConfigName)}: {e.Message}", e);
        }
        try
        {
            ReadWeights(adapter, folder);
            return adapter;
        }
        catch
        {
            adapter.Free();
            throw;
        }
    }

    /// <summary>Fills an adapter with the weights of a folder.</summary>
    public static void ReadWeights(LoraAdapter adapter, string folder)
    {
        using var weights = ModelWeights.OpenFile(Path.Combine(folder, WeightsName));
        weights.LoadInto([.. adapter.Parameters.Select(named => (Prefix + named.Name, (Tensor)named.Parameter))], ignored: null);
    }

    private static JsonNode Targets(LoraAdapter adapter)
    {
        if (adapter.Options.TargetPattern is { } pattern)
            return JsonValue.Create(pattern);
        // As PEFT does, whose own word for all linear layers would not be understood where a model has others.
        var names = adapter.Options.TargetModules is [LoraOptions.AllLinear] ? LoraTargets.Ends(adapter.Layers) : adapter.Options.TargetModules;
        return new JsonArray([.. names.Select(name => JsonValue.Create(name))]);
    }

    private static LoraOptions OptionsOf(ModelConfig config, Transformer model)
    {
        Require(config, "peft_type", null, "LORA");
        Require(config, "task_type", "CAUSAL_LM", "CAUSAL_LM");
        Require(config, "bias", "none", "none");
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
        };
        string[] read = ["peft_type", "task_type", "bias", "init_lora_weights", "lora_dropout", "lora_alpha", "r", "use_rslora", "target_modules"];
        foreach (var field in config.Fields.Except(read).Except(notes))
        {
            if (!IsEmpty(config.Find(field)))
                throw config.Wrong(field, "Dpo implements adapters without it");
        }
        return WithTargets(options, config, model);
    }

    private static void Require(ModelConfig config, string field, string? fallback, params string[] implemented)
    {
        if (!implemented.Contains(config.String(field, fallback)))
            throw config.Wrong(field, $"Dpo implements {string.Join(", ", implemented)} for adapters");
    }

    /// <summary>Reads the targets. A name that the model does not have is no error in a file as long as another one is its, as in
    /// PEFT: the tensors decide.</summary>
    private static LoraOptions WithTargets(LoraOptions options, ModelConfig config, Transformer model)
    {
        if (config.Find("target_modules") is { ValueKind: JsonValueKind.String } text)
            return text.GetString() == LoraOptions.AllLinear ? options : options with { TargetPattern = text.GetString() };
        if (config.Find("target_modules") is not { ValueKind: JsonValueKind.Array } list
            || list.EnumerateArray().Any(item => item.ValueKind != JsonValueKind.String))
            throw config.Wrong("target_modules", "it must be a list of names, or a pattern");
        string[] targets = [.. list.EnumerateArray().Select(item => item.GetString()!)];
        string[] known = [.. targets.Where(target => LoraTargets.Candidates(model).Exists(layer => LoraTargets.Names(target, layer.Name)))];
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
