using System.Security.Cryptography;
using System.Text;
using static TorchSharp.torch;

namespace Dpo.Weights;

/// <summary>Tells tensors from others.</summary>
internal static class TensorDigest
{
    /// <summary>SHA-256 of the name, type, shape and bytes of every tensor, whatever their order.</summary>
    public static string Of(IEnumerable<(string Name, Tensor Tensor)> tensors)
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
