using Dpo.Training.Checkpointing;
using Microsoft.Extensions.Logging;

namespace Dpo.Training;

/// <summary>Says once where the log-probability of chosen completions has fallen far
/// (<see cref="TrainingOptions.WarnOfChosenFall"/>).</summary>
internal static class ChosenFall
{
    /// <summary>Looks at what a step measured.</summary>
    /// <returns>The position, which remembers the first step's value and whether the warning was given.</returns>
    public static RunPosition Watch(RunPosition at, Dictionary<string, double> values, double limit, ILogger logger)
    {
        if (!values.TryGetValue("logps/chosen", out var chosen) || !double.IsFinite(chosen))
            return at;
        at = at with { FirstChosenLogProb = at.FirstChosenLogProb ?? chosen };
        if (at.WarnedOfFall || at.FirstChosenLogProb - chosen is not { } fall || fall <= limit)
            return at;
        logger.LogWarning(
            "At step {Step} the mean log-probability of the chosen completions is {Fall:g4} nats below the first step's: " +
            "the policy gives up what it should prefer. An SFT term in the loss, a larger β or a smaller learning rate " +
            "holds it up.", at.Step, fall);
        return at with { WarnedOfFall = true };
    }
}
