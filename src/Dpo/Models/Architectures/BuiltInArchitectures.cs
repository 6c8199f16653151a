using System.Diagnostics.CodeAnalysis;
using System.Runtime.CompilerServices;

namespace Dpo.Models.Architectures;

/// <summary>Makes the architectures of this room known.</summary>
internal static class BuiltInArchitectures
{
    /// <summary>Runs before any other code of the library, so that <see cref="CausalLanguageModel.Load"/> finds them however it
    /// is reached. It makes no model, and loads nothing native.</summary>
    [ModuleInitializer]
    [SuppressMessage(
        "Usage", "CA2255",
        Justification = "Nothing that loads a model names an architecture: this alone makes them known, " +
            "and keeps them from being trimmed.")]
    internal static void Register()
    {
        ModelTypes.Register("gpt2", file => new Gpt2(Gpt2Config.From(file), file));
        ModelTypes.Register("gptj", file => new GptJ(file));
        ModelTypes.Register("gpt_neox", file => new GptNeoX(file));
        ModelTypes.Register("llama", file => new Llama(file));
        ModelTypes.Register("mistral", file => new Mistral(file));
        ModelTypes.Register("qwen2", file => new Qwen2(file));
        ModelTypes.Register("qwen3", file => new Qwen3(file));
        ModelTypes.Register("gemma2", file => new Gemma2(file));
        ModelTypes.Register("phi3", file => new Phi3(file));
    }
}
