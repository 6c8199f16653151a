using System.Collections.Concurrent;

namespace Dpo.Models;

/// <summary>Which class computes a folder's model: <c>model_type</c> of its <c>config.json</c>, and what makes such a
/// model.</summary>
/// <remarks>Dpo's own are there from the start: <c>BuiltInArchitectures</c>, beside them, fills the list when the assembly is
/// loaded, so that nothing here, nor in what loads a model, names one.</remarks>
public static class ModelTypes
{
    private static readonly ConcurrentDictionary<string, Func<ModelConfig, TransformerModel>> factories = new();

    /// <summary>Makes an architecture known to <see cref="CausalLanguageModel.Load"/>. Call it once, before the first model of
    /// the kind is loaded.</summary>
    /// <param name="modelType">What <c>model_type</c> says. One that is known already, of Dpo's own too, is computed by the new
    /// class from here on.</param>
    /// <param name="create">Makes a model of a <c>config.json</c>, on the CPU; its weights are filled afterwards. It refuses
    /// fields that it does not compute by <see cref="ModelConfig.Wrong"/>. The model is the caller's to dispose.</param>
    public static void Register(string modelType, Func<ModelConfig, TransformerModel> create)
    {
        ArgumentException.ThrowIfNullOrEmpty(modelType);
        ArgumentNullException.ThrowIfNull(create);
        factories[modelType] = create;
    }

    /// <summary>Makes a model with weights that are still to be filled.</summary>
    /// <exception cref="InvalidInputException">Its type is not known.</exception>
    internal static TransformerModel Create(ModelConfig config)
    {
        if (factories.TryGetValue(config.ModelType, out var create))
            return create(config);
        var known = factories.Keys.Order(StringComparer.Ordinal).ToArray();
        throw config.Wrong(
            "model_type",
            $"Dpo implements {string.Join(", ", known[..^1])} and {known[^1]}; one of your own is made known by " +
            "ModelTypes.Register");
    }
}
