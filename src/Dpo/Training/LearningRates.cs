using Microsoft.Extensions.Logging;
using static TorchSharp.torch;

namespace Dpo.Training;

/// <summary>The learning rate of each step: the options' rate, or the rates that a user's own optimizer came with, times the
/// options' schedule.</summary>
/// <param name="options">The rate and the schedule, either of which may be null with a user's own optimizer.</param>
/// <param name="optimizer">Whose rates are set. What they are when this is made is what it came with.</param>
internal sealed class LearningRates(TrainingOptions options, optim.Optimizer optimizer)
{
    /// <summary>At most so many steps of the schedule are checked before a run; no run that ends has more.</summary>
    private const int MostStepsChecked = 1 << 20;

    private readonly double[] own = [.. optimizer.ParamGroups.Select(group => group.LearningRate)];

    /// <summary>Sets the rates of a step.</summary>
    /// <param name="step">The step, from 0.</param>
    /// <param name="totalSteps">Steps of the whole run.</param>
    /// <returns>The first group's.</returns>
    public double Set(int step, int totalSteps)
    {
        var factor = Factor(step, totalSteps);
        if (options is not { LearningRate: null, Schedule: null })
        {
            foreach (var (index, group) in optimizer.ParamGroups.Index())
                group.LearningRate = (options.LearningRate ?? own[index]) * factor;
        }
        return optimizer.ParamGroups.First().LearningRate;
    }

    /// <summary>Refuses, before a run, a schedule that gives no numbers, and says where its warm-up is longer than the
    /// run.</summary>
    public void Require(int totalSteps, ILogger logger)
    {
        for (var step = 0; step < Math.Min(totalSteps, MostStepsChecked); step++)
            Factor(step, totalSteps);
        var last = Factor(totalSteps - 1, totalSteps);
        if (last >= 1 || (totalSteps > 1 && last <= Factor(totalSteps - 2, totalSteps)))
            return;
        var whole = options.LearningRate ?? own[0];
        logger.LogWarning(
            "The warm-up is longer than the run: at the last of {Steps} steps the learning rate has come to {Rate:g3} of " +
            "{Whole:g3}. A shorter warm-up, or more steps, would reach it.", totalSteps, whole * last, whole);
    }

    private double Factor(int step, int totalSteps)
    {
        var factor = options.Schedule?.Invoke(step, totalSteps) ?? 1;
        return double.IsFinite(factor) ? factor : throw new InvalidInputException(
            $"The learning rate's schedule gives {factor} at step {step + 1} of {totalSteps}; " +
            "it must give a finite number at every step.");
    }
}
