using Dpo.Native;
using static TorchSharp.torch;

namespace Dpo.Models.Layers;

/// <summary>Which entries of a head are turned together.</summary>
public enum RotaryPairs
{
    /// <summary>Entry i with i + half of those that are turned (GPT-NeoX, Llama and their kin).</summary>
    Halves,

    /// <summary>Each even one with the odd one after it (GPT-J).</summary>
    Neighbours,
}

/// <summary>
/// Rotary position embedding (Su et al. 2021): pair i of a query or key at position p is turned by the angle p·fᵢ with
/// fᵢ = θ^(−2i/size), so that dot products depend on differences of positions alone.
/// </summary>
/// <remarks>Frequencies and angles are computed in fp32 by the operations transformers takes, since at high positions the
/// rounding of a frequency shows.</remarks>
public sealed class RotaryEmbedding
{
    private readonly float[] frequencies;
    private readonly RotaryPairs pairs;

    /// <summary>Computes the frequencies.</summary>
    /// <param name="size">How many of a head's entries are turned, from the first on: an even number; the rest stays.</param>
    /// <param name="parameters">θ, and how frequencies are stretched to more positions.</param>
    /// <param name="pairs">Which entries make a pair.</param>
    public RotaryEmbedding(int size, RotaryParameters parameters, RotaryPairs pairs = RotaryPairs.Halves)
    {
        ArgumentNullException.ThrowIfNull(parameters);
        if (size < 2 || size % 2 != 0)
            throw new ArgumentOutOfRangeException(nameof(size), size, "An even number of a head's entries is turned, 2 or more.");
        using var scope = NewDisposeScope();
        this.pairs = pairs;
        var plain = pow(
            tensor(parameters.Theta, device: CPU), HeldScalars.Range(size / 2, CPU).Times(2).to(float32).DividedBy(size))
            .reciprocal();
        frequencies = [.. parameters.Stretch(plain).data<float>()];
    }

    /// <summary>The rotation of tokens at positions: made once, it serves the queries and keys of all layers.</summary>
    /// <param name="positions"><c>[N]</c>, int64.</param>
    /// <returns>It belongs to the current dispose scope. Make it before any scope of your own: blocks that are computed anew in
    /// the backward pass ask for it again.</returns>
    public Rotation At(Tensor positions)
    {
        using var scope = NewDisposeScope();
        var angles = positions.to(float32).view(-1, 1, 1) * DeviceCopy.Of(frequencies, positions.device);
        return new Rotation(angles.cos().MoveToOuterDisposeScope(), angles.sin().MoveToOuterDisposeScope(), pairs);
    }
}
