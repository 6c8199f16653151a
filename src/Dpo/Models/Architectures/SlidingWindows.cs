namespace Dpo.Models.Architectures;

/// <summary>Reads which layers attend through a sliding window, as Hugging Face's configurations say it.</summary>
internal static class SlidingWindows
{
    /// <summary>Every layer alike: <c>sliding_window</c>, where null says that there is none (Mistral, Phi-3).</summary>
    public static IReadOnlyList<int?> OfAll(ModelConfig config) =>
        [.. Enumerable.Repeat(Size(config), config.Layers("num_hidden_layers"))];

    /// <summary>The layers from <c>max_window_layers</c> on, if <c>use_sliding_window</c> says so (Qwen).</summary>
    public static IReadOnlyList<int?> OfUpper(ModelConfig config)
    {
        var inUse = config.Bool("use_sliding_window", false);
        return OfSome(
            config, inUse ? Size(config) : null, layer => inUse && layer >= config.Int("max_window_layers", minimum: 0));
    }

    /// <summary>The first layer, the third and so on (Gemma 2).</summary>
    public static IReadOnlyList<int?> OfEveryOther(ModelConfig config) => OfSome(config, Size(config), layer => layer % 2 == 0);

    /// <summary>Newer files name every layer's kind in <c>layer_types</c>; for others the architecture's rule holds.</summary>
    private static IReadOnlyList<int?> OfSome(ModelConfig config, int? size, Func<int, bool> rule)
    {
        const string full = "full_attention";
        const string sliding = "sliding_attention";
        var layers = config.Layers("num_hidden_layers");
        if (!config.Has("layer_types"))
            return [.. Enumerable.Range(0, layers).Select(layer => rule(layer) ? size : null)];

        var types = config.Strings("layer_types");
        if (types.Count != layers || types.Any(type => type is not (full or sliding)))
            throw config.Wrong("layer_types", $"Dpo implements a list of num_hidden_layers, {layers}, times {full} or {sliding}");
        if (size is null && types.Contains(sliding))
            throw config.Wrong("layer_types", $"it asks for {sliding}, but other fields say that no sliding window is in use");
        return [.. types.Select(type => type == sliding ? size : null)];
    }

    /// <summary>The window's size, or null for none. An absent field is refused: transformers' default differs from architecture
    /// to architecture.</summary>
    private static int? Size(ModelConfig config)
    {
        if (!config.Names("sliding_window"))
            throw config.Wrong("sliding_window", "it must be a whole number, or null for none");
        return config.Has("sliding_window") ? config.Int("sliding_window") : null;
    }
}
