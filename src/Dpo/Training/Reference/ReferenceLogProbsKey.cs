using System.Security.Cryptography;
using System.Text;
using Dpo.Batching;
using Dpo.Models;
using Dpo.Models.Lora;
using Dpo.Weights;
using static TorchSharp.torch;

namespace Dpo.Training.Reference;

/// <summary>All that reference log-probabilities follow from, as texts: values whose keys are equal are equal.</summary>
/// <remarks>Pairs are not part of it: whatever is preferred to what, the values are the same.</remarks>
/// <param name="Weights">SHA-256 of the name, type, shape and bytes of every parameter and buffer of the reference.</param>
/// <param name="Config">SHA-256 of the fields of its <c>config.json</c>, since equal weights compute something else with another
/// number of heads, and of what its adapter is multiplied by; of the type's name where a model has no configuration.</param>
/// <param name="Tokens">SHA-256 of the ids of every prompt and completion, in order.</param>
/// <param name="Precision">The precision of the matrix products.</param>
internal sealed record ReferenceLogProbsKey(string Weights, string Config, string Tokens, string Precision)
{
    public static ReferenceLogProbsKey Of(PolicyReferencePair pair, PreferenceData data)
    {
        var transformer = pair.ReferenceModel as TransformerModel;
        var config = transformer?.Config.Description() ?? pair.ReferenceModel.GetType().FullName!;
        if (transformer?.Lora is { } lora)
            config = $"{config}\nlora scale: {lora.ScaleDescription}";
        return new(
            HashOf(pair.ReferenceState()),
            HashOf(config),
            data.Source.Digest.Tokens,
            (transformer?.Precision ?? default).ToString());
    }

    /// <summary>What <paramref name="other"/> has otherwise, in words that follow "computed with"; empty where nothing.</summary>
    public IEnumerable<string> DifferencesOf(ReferenceLogProbsKey other)
    {
        if (other.Weights != Weights)
            yield return "other weights";
        if (other.Config != Config)
            yield return "another model configuration";
        if (other.Tokens != Tokens)
            yield return "other tokens, or the same in another order";
        if (other.Precision != Precision)
            yield return $"the precision {other.Precision} instead of {Precision}";
    }

    /// <summary>SHA-256 of a text.</summary>
    internal static string HashOf(string text) => Convert.ToHexStringLower(SHA256.HashData(Encoding.UTF8.GetBytes(text)));

    /// <summary>SHA-256 of the name, type, shape and bytes of every tensor, whatever their order.</summary>
    internal static string HashOf(IEnumerable<(string Name, Tensor Tensor)> tensors)
    {
        using var hash = IncrementalHash.CreateHash(HashAlgorithmName.SHA256);
        using var noGradients = no_grad();
        foreach (var (name, tensor) in tensors.OrderBy(item => item.Name, StringComparer.Ordinal))
        {
            hash.AppendData(Encoding.UTF8.GetBytes($"{name} {tensor.dtype} [{string.Join(", ", tensor.shape)}]\n"));
            TensorPieces.ForEach(
                tensor, TensorPieces.MaximumBytes / tensor.ElementSize, piece => hash.AppendData(piece.cpu().contiguous().bytes));
        }
        return Convert.ToHexStringLower(hash.GetHashAndReset());
    }
}
