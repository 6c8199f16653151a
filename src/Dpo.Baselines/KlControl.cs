using Dpo.Training.Checkpointing;
using static TorchSharp.torch;

namespace Dpo.Baselines;

/// <summary>The weight of the KL penalty, fixed or drawn towards a target by the KL that is observed (Ziegler et al. 2019,
/// section 2.2).</summary>
/// <param name="coefficient">The weight at the beginning.</param>
/// <param name="target">The KL that is aimed at, in nats a completion; null leaves the weight as it is.</param>
/// <param name="gain">What share of an error, which counts up to 20 %, changes the weight in a round.</param>
internal sealed class KlControl(double coefficient, double? target, double gain) : IRestorable
{
    private const string Name = "kl_coefficient";

    /// <summary>The weight now.</summary>
    public double Coefficient { get; private set; } = coefficient;

    /// <summary>Looks at what was observed.</summary>
    /// <param name="kl">The mean KL of a round's completions, in nats.</param>
    public void Observe(double kl)
    {
        if (target is { } aim)
            Coefficient *= 1 + (Math.Clamp((kl / aim) - 1, -0.2, 0.2) * gain);
    }

    /// <inheritdoc/>
    public IEnumerable<(string Name, Tensor Tensor)> State() => [(Name, tensor([Coefficient], float64, CPU))];

    /// <inheritdoc/>
    public void LoadState(IEnumerable<(string Name, Tensor Tensor)> state) =>
        Coefficient = state.Where(named => named.Name == Name).Select(named => named.Tensor.data<double>()[0]).Single();
}
