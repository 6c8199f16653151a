using TorchSharp.Modules;

namespace Dpo;

/// <summary>Makes the optimizers that <see cref="OptimizerKind"/> names.</summary>
internal static class Optimizers
{
    public static RestorableOptimizer Create(IReadOnlyList<Parameter> parameters, TrainingOptions options) =>
        options.Optimizer == OptimizerKind.RmsProp
            ? new RmsProp(parameters, options.LearningRate!.Value)
            : new FusedAdamW(parameters, options.LearningRate!.Value, options.WeightDecay);
}
