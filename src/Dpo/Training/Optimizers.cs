using TorchSharp.Modules;
using static TorchSharp.torch;

namespace Dpo;

/// <summary>Makes the optimizers that <see cref="OptimizerKind"/> names.</summary>
internal static class Optimizers
{
    public static optim.Optimizer Create(IReadOnlyList<Parameter> parameters, TrainingOptions options)
    {
        if (options.Optimizer == OptimizerKind.RmsProp)
            return optim.RMSProp(parameters, options.LearningRate, alpha: 0.99, eps: 1e-8);

        // Matrices decay; biases and the gains of norms, which are vectors, do not.
        var groups = parameters.GroupBy(parameter => parameter.dim() > 1 ? options.WeightDecay : 0)
            .Select(group => new AdamW.ParamGroup(group, new AdamW.Options
            {
                LearningRate = options.LearningRate,
                beta1 = 0.9,
                beta2 = 0.999,
                eps = 1e-8,
                weight_decay = group.Key,
            }));
        return optim.AdamW(groups, options.LearningRate);
    }
}
