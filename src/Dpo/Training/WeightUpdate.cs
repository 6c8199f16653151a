using Dpo.Batching;
using Dpo.Native;
using Dpo.Optimizers;
using static TorchSharp.torch;

namespace Dpo.Training;

/// <summary>One update of the weights: gradients, clipping, learning rate, the optimizer's step; and a look at what came of
/// it.</summary>
/// <remarks>The device is waited for once in a step, when the gradient is there: for its norm, for the metrics, and on a GPU for
/// whether the previous update left the weights finite (<see cref="WeightCheck"/>). On the CPU there is nothing to wait for, and
/// weights are checked right after their update.</remarks>
internal sealed class WeightUpdate(
    BatchMeasurement measurement, TrainedParameters trained, optim.Optimizer optimizer, LearningRates rates) : IDisposable
{
    private Tensor? unread;
    private string made = "";

    /// <summary>Makes the update.</summary>
    /// <param name="batch">What it learns from.</param>
    /// <param name="step">How many updates were made before.</param>
    /// <param name="totalSteps">How many the run makes.</param>
    /// <param name="lastGood">The checkpoint to name where something is not finite; null where there is none.</param>
    /// <returns>The batch's metrics, with <c>grad_norm</c> and <c>learning_rate</c>.</returns>
    /// <exception cref="NotFiniteNumberException">The loss or the gradient was not finite, and the weights are as they were; or
    /// the update before this one had made weights that are not finite.</exception>
    /// <exception cref="InvalidOperationException">The model trains other parameters than when the trainer was made.</exception>
    public Dictionary<string, double> Make(PreferenceBatch batch, int step, int totalSteps, string? lastGood)
    {
        trained.RequireUnchanged("trainer");
        // Users' optimizers may leave behind handles to gradients and intermediate values; state they keep out of the scope.
        using var scope = NewDisposeScope();
        optimizer.zero_grad();
        var metrics = measurement.AddGradients(batch);
        BackwardFailure.Rethrow();
        var norm = GradientNorm.Clip(trained.Parameters, measurement.Options.MaxGradNorm);
        var read = HostRead.Of(unread is null ? [metrics, norm] : [metrics, norm, unread]);
        var (values, gradNorm) = (measurement.Named(batch.Counts, read), read[metrics.numel()]);
        if (unread is not null)
            RequireFinite(read[^1], lastGood);
        if (!double.IsFinite(values["loss"]) || !double.IsFinite(gradNorm))
            throw new NotFiniteNumberException(
                $"Step {step + 1} has loss {values["loss"]} and gradient norm {gradNorm}; the update was not made. " +
                $"Its examples: {string.Join(", ", batch.Examples.Select(example => example.Source ?? "unnamed"))}. " +
                $"The largest weights: {LargestWeights.Of(measurement.Objective.Model)}." + LastGood(lastGood));

        var learningRate = rates.Set(step, totalSteps);
        optimizer.step();
        values["grad_norm"] = gradNorm;
        values["learning_rate"] = learningRate;
        made = $"The update of step {step + 1}, at a learning rate of {learningRate:g3} and a gradient norm of {gradNorm:g3}";
        unread = WeightCheck.Of(trained.Parameters).DetachFromDisposeScope();
        if (!DeviceStrategies.AreFor(measurement.Objective.Model.Device))
            RequireFinite(lastGood);
        return values;
    }

    /// <summary>Refuses what the last update made of the weights, where that is not finite and was not looked at yet.</summary>
    /// <param name="lastGood">The checkpoint to name; null where there is none.</param>
    /// <exception cref="NotFiniteNumberException">A weight is not finite.</exception>
    public void RequireFinite(string? lastGood)
    {
        if (unread is not null)
            RequireFinite(HostRead.Of(unread).Single(), lastGood);
    }

    private void RequireFinite(double weights, string? lastGood)
    {
        Dispose();
        if (!double.IsFinite(weights))
            throw new NotFiniteNumberException(
                $"{made}, left weights that are not finite. The largest: {LargestWeights.Of(measurement.Objective.Model)}. " +
                "A smaller learning rate may help." + LastGood(lastGood));
    }

    /// <summary>Frees what was not read.</summary>
    public void Dispose()
    {
        unread?.Dispose();
        unread = null;
    }

    private static string LastGood(string? checkpoint) => checkpoint is null ? "" : $" The last good checkpoint is {checkpoint}.";
}
