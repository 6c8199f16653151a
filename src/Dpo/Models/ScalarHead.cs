using TorchSharp;
using static TorchSharp.torch;

namespace Dpo.Models;

/// <summary>Models whose head gives one number for a hidden state: how they come from language models, and are told from
/// them.</summary>
internal static class ScalarHead
{
    /// <summary>The head's module, as transformers names it in all its models for sequence classification.</summary>
    public const string Name = "score";

    /// <summary>The name of its weight, <c>[1, D]</c>; it has no bias.</summary>
    public const string WeightName = Name + ".weight";

    /// <summary>The standard deviation that transformers draws it with.</summary>
    public const double Deviation = 0.02;

    /// <summary>What a folder's model is made of: its <c>config.json</c>, or what is left of a language model's.</summary>
    /// <exception cref="InvalidInputException">It has a scalar head, or one of several labels, and a language model is asked for,
    /// or the labels are not one.</exception>
    public static ModelConfig Config(ModelConfig config, bool isScalar)
    {
        if (!isScalar)
            return !config.IsScalar ? config : throw config.Wrong(
                "architectures",
                "that gives a text a number and no logits; load it as RewardModel, or by CausalLanguageModel.LoadScalar");
        if (!config.IsScalar)
            return config.AsScalar();
        return config.Has("id2label") && config.Texts("id2label").Count == 1
            ? config
            : throw config.Wrong("id2label", "a reward model has one label, and transformers has two where the field is missing");
    }

    /// <summary>A copy of a model with a scalar head.</summary>
    public static TransformerModel Over(TransformerModel model, int seed, double deviation)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(deviation);
        using var noGrad = no_grad();
        var copy = ModelFolder.Create(model.Config.AsScalar());
        try
        {
            var parameters = copy.named_parameters().ToDictionary(named => named.name, named => named.parameter);
            foreach (var (name, value) in model.MergedParameters())
            {
                using var scope = NewDisposeScope();
                if (parameters.TryGetValue(name, out var parameter))
                    parameter.copy_(value);
            }
            Draw(copy, seed, deviation);
            (copy.LoadedFrom, copy.Companions, copy.Precision) = (model.LoadedFrom, model.Companions, model.Precision);
            return copy.to(model.Device);
        }
        catch
        {
            copy.Dispose();
            throw;
        }
    }

    /// <summary>Gives the head of a model on the CPU new weights, drawn normally around 0.</summary>
    public static void Draw(TransformerModel model, int seed, double deviation)
    {
        using var scope = NewDisposeScope();
        using var noGrad = no_grad();
        using var generator = new Generator((ulong)seed);
        model.OwnHeadLayer!.Weight.normal_(0, deviation, generator);
    }
}
