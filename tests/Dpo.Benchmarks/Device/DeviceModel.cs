using TorchSharp;
using static TorchSharp.torch;

namespace Dpo.Benchmarks;

/// <summary>A model with random weights by the name of its shape, and what its passes cost.</summary>
internal static class DeviceModel
{
    /// <summary>Llama 3.2 1B's shape.</summary>
    private static readonly LlamaConfig Llama1B = new()
    {
        VocabularySize = 128256,
        MaxPositions = 8192,
        HiddenSize = 2048,
        InnerSize = 8192,
        LayerCount = 16,
        HeadCount = 32,
        KeyValueHeadCount = 8,
        RopeTheta = 500000,
        TieWordEmbeddings = true,
    };

    /// <summary>A Llama of about 100M weights.</summary>
    private static readonly LlamaConfig Llama100M = new()
    {
        VocabularySize = 32000,
        MaxPositions = 2048,
        HiddenSize = 768,
        InnerSize = 2048,
        LayerCount = 10,
        HeadCount = 12,
        KeyValueHeadCount = 4,
        TieWordEmbeddings = true,
    };

    private static readonly LlamaConfig LlamaQuick = Llama100M with { VocabularySize = 1000, HiddenSize = 128, InnerSize = 256, LayerCount = 2, HeadCount = 4, KeyValueHeadCount = 2 };

    private static readonly Gpt2Config Gpt2Quick = new() { VocabularySize = 1000, HiddenSize = 128, LayerCount = 2, HeadCount = 4 };

    /// <summary>The shape of a name: a <see cref="Gpt2Config"/> or a <see cref="LlamaConfig"/>.</summary>
    public static object Shape(string name) => name switch
    {
        "llama-1b" => Llama1B,
        "llama-100m" => Llama100M,
        "llama-quick" => LlamaQuick,
        "gpt2-quick" => Gpt2Quick,
        _ => ModelShapes.Config(name),
    };

    /// <summary>A model on the CPU.</summary>
    public static TransformerModel Make(string name) => Shape(name) is LlamaConfig llama ? new Llama(llama) : new Gpt2((Gpt2Config)Shape(name));

    /// <summary>A model whose weights are drawn on the device: others than <see cref="Make"/>'s, and sooner.</summary>
    public static TransformerModel Draw(string name, Device device)
    {
        var model = Unfilled(name, device);
        using var noGrad = no_grad();
        using var scope = NewDisposeScope();
        foreach (var (weightName, parameter) in model.named_parameters())
        {
            if (parameter.dim() > 1)
                parameter.normal_(0, 0.02);
            else
                parameter.FillInPlace(weightName.EndsWith("bias", StringComparison.Ordinal) ? 0 : 1);
        }
        return model;
    }

    /// <summary>A model with the weights of another of its shape.</summary>
    public static TransformerModel Copy(string name, TransformerModel source, Device device)
    {
        var model = Unfilled(name, device);
        using var noGrad = no_grad();
        using var scope = NewDisposeScope();
        foreach (var (parameter, values) in model.parameters().Zip(source.parameters()))
            parameter.copy_(values);
        return model;
    }

    private static TransformerModel Unfilled(string name, Device device)
    {
        TransformerModel model = Shape(name) is LlamaConfig llama
            ? new Llama(llama.ToModelConfig())
            : new Gpt2((Gpt2Config)Shape(name), ((Gpt2Config)Shape(name)).ToModelConfig());
        return (TransformerModel)model.to(device);
    }

    /// <summary>What a forward pass costs.</summary>
    public static FlopCount Flops(string name) => Shape(name) is LlamaConfig llama ? new FlopCount(llama) : new FlopCount((Gpt2Config)Shape(name));
}
