using TorchSharp.Modules;

namespace Dpo.Optimizers;

/// <summary>Which optimizer a trainer makes.</summary>
public enum OptimizerKind
{
    /// <summary>RMSprop with α 0.99, ε 1e-8, no momentum, not centred: the paper's.</summary>
    RmsProp,

    /// <summary>AdamW with β (0.9, 0.999), ε 1e-8. Decays matrices only, no biases and no norms.</summary>
    AdamW,
}

/// <summary>Makes the optimizers that <see cref="OptimizerKind"/> names.</summary>
internal static class OptimizerKinds
{
    public static RestorableOptimizer Create(
        this OptimizerKind kind, IReadOnlyList<Parameter> parameters, double learningRate, double weightDecay = 0) =>
        kind == OptimizerKind.RmsProp
            ? new RmsProp(parameters, learningRate)
            : new FusedAdamW(parameters, learningRate, weightDecay);
}
