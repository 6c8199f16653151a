using System.CommandLine;
using Dpo.Samples;

namespace Dpo.Benchmarks;

/// <summary>The models that are measured: GPT-2's architecture and vocabulary in three sizes, with random weights.</summary>
internal static class ModelShapes
{
    /// <summary>The option that names one.</summary>
    public static Option<string> Option() =>
        CliOption.Choice("--model-shape", "The size of the model.", "gpt2-124m", "gpt2-30m", "gpt2-tiny");

    public static Gpt2Config Config(string name) => name switch
    {
        "gpt2-30m" => new Gpt2Config { HiddenSize = 384, LayerCount = 6, HeadCount = 6 },
        "gpt2-tiny" => new Gpt2Config { HiddenSize = 128, LayerCount = 2, HeadCount = 2 },
        _ => new Gpt2Config(),
    };
}
