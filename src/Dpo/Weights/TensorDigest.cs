using System.Text;
using Dpo.Files;
using static TorchSharp.torch;

namespace Dpo.Weights;

/// <summary>Tells tensors from others.</summary>
public static class TensorDigest
{
    /// <summary>SHA-256 of the name, type, shape and bytes of every tensor, whatever their order.</summary>
    /// <param name="tensors">Tensors by name, such as a model's <c>state_dict()</c>, on any device.</param>
    /// <returns>64 hexadecimal digits.</returns>
    public static string Of(IEnumerable<(string Name, Tensor Tensor)> tensors)
    {
        ArgumentNullException.ThrowIfNull(tensors);
        using var digest = new Digest();
        using var noGradients = no_grad();
        foreach (var (name, tensor) in tensors.OrderBy(item => item.Name, StringComparer.Ordinal))
        {
            digest.Append(Encoding.UTF8.GetBytes($"{name} {tensor.dtype} [{string.Join(", ", tensor.shape)}]\n").AsSpan());
            TensorPieces.ForEach(
                tensor, TensorPieces.MaximumBytes / tensor.ElementSize, piece => digest.Append(piece.cpu().contiguous().bytes));
        }
        return digest.EndAsText();
    }
}
