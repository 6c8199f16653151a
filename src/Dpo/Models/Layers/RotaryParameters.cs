using Dpo.Native;
using static TorchSharp.torch;

namespace Dpo.Models.Layers;

/// <summary>The frequencies of rotary embeddings: plain ones here, and what stretches them in a subclass.</summary>
/// <param name="Theta">The base θ of the frequencies, 1 or more; 10,000 in most models.</param>
public record RotaryParameters(double Theta)
{
    /// <summary>The frequencies of a model, <c>[pairs]</c> in fp32 on the CPU, from the plain ones; called once, when a
    /// <see cref="RotaryEmbedding"/> is made.</summary>
    public virtual Tensor Stretch(Tensor frequencies) => frequencies;
}

/// <summary>Positions divided by a factor (Chen et al. 2023, position interpolation).</summary>
/// <param name="Theta">The base θ of the frequencies.</param>
/// <param name="Factor">How many times as many positions there are as in pretraining.</param>
public sealed record LinearRotaryParameters(double Theta, double Factor) : RotaryParameters(Theta)
{
    /// <inheritdoc/>
    public override Tensor Stretch(Tensor frequencies) => frequencies.DividedBy(Factor);
}

/// <summary>Llama 3.1's: what turns often within the original positions stays, what turns seldom is divided by the factor,
/// between them one goes over into the other.</summary>
/// <param name="Theta">The base θ of the frequencies.</param>
/// <param name="Factor">What low frequencies are divided by.</param>
/// <param name="LowTurns">Up to so many turns within the original positions a frequency counts as low.</param>
/// <param name="HighTurns">From so many turns on it counts as high.</param>
/// <param name="OriginalPositions">Positions of the pretrained model.</param>
public sealed record Llama3RotaryParameters(double Theta, double Factor, double LowTurns, double HighTurns, int OriginalPositions)
    : RotaryParameters(Theta)
{
    /// <inheritdoc/>
    public override Tensor Stretch(Tensor frequencies)
    {
        var turns = frequencies.Times(OriginalPositions / (2 * Math.PI));
        var kept = turns.Minus(LowTurns).DividedBy(HighTurns - LowTurns).AtLeast(0).AtMost(1);
        return (kept.OneMinus() * frequencies).DividedBy(Factor).Plus(kept * frequencies);
    }
}
