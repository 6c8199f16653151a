using static TorchSharp.torch;

namespace Dpo;

/// <summary>One update of the weights: gradients, clipping, learning rate, the optimizer's step.</summary>
internal sealed class WeightUpdate(Objective objective, optim.Optimizer optimizer)
{
    /// <summary>Makes the update.</summary>
    /// <param name="batch">What it learns from.</param>
    /// <param name="step">How many updates were made before.</param>
    /// <param name="totalSteps">How many the run makes.</param>
    /// <param name="lastGood">The checkpoint to name where something is not finite; null where there is none.</param>
    /// <returns>The batch's metrics, with <c>grad_norm</c> and <c>learning_rate</c>.</returns>
    /// <exception cref="NotFiniteNumberException">The loss or the gradient was not finite; the weights are as they were.</exception>
    public Dictionary<string, double> Make(PreferenceBatch batch, int step, int totalSteps, string? lastGood)
    {
        var options = objective.Options;
        // Users' optimizers may leave behind handles to gradients and intermediate values; state they keep out of the scope.
        using var scope = NewDisposeScope();
        optimizer.zero_grad();
        var values = objective.Train(batch);
        BackwardFailure.Rethrow();
        var gradNorm = GradientNorm.Clip(objective.Parameters, options.MaxGradNorm);
        if (!double.IsFinite(values["loss"]) || !double.IsFinite(gradNorm))
            throw new NotFiniteNumberException(
                $"Step {step + 1} has loss {values["loss"]} and gradient norm {gradNorm}; the update was not made. Its examples: " +
                $"{string.Join(", ", batch.Examples.Select(example => example.Source ?? "unnamed"))}. The largest weights: {LargestWeights.Of(objective.Model)}." +
                (lastGood is null ? "" : $" The last good checkpoint is {lastGood}."));

        var learningRate = options.LearningRate * options.Schedule(step, totalSteps);
        foreach (var group in optimizer.ParamGroups)
            group.LearningRate = learningRate;
        optimizer.step();
        values["grad_norm"] = gradNorm;
        values["learning_rate"] = learningRate;
        return values;
    }
}
