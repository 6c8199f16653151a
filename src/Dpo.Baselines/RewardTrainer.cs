using Dpo.Training;
using Microsoft.Extensions.Logging;
using static TorchSharp.torch;

namespace Dpo.Baselines;

/// <summary>Trains a reward model on preferences: maximum likelihood under Bradley and Terry's model (the paper's Eq. 2). Metrics
/// have TRL's names: <c>accuracy</c>, <c>margin</c>, <c>mean_reward</c>, <c>min_reward</c> and <c>max_reward</c>; the last two
/// are over all chosen and rejected completions of a step, where TRL has the mean over micro-batches.</summary>
/// <remarks>The best weights are kept by <c>CheckpointOptions.KeepBest = new BestMetric("eval_accuracy", …)</c>. Rewards have no
/// zero of their own but where they are centred; <see cref="RewardModel.Centre"/> gives them one afterwards.</remarks>
public sealed class RewardTrainer : Trainer
{
    /// <summary>Creates the trainer.</summary>
    /// <param name="reward">The reward model; it stays the caller's to dispose.</param>
    /// <param name="rewardOptions">What it is trained to; the plain loss by default.</param>
    /// <param name="options">How to train; the paper's settings for policies by default.</param>
    /// <param name="optimizer">An optimizer of your own over the model's parameters.</param>
    /// <param name="logger">Is told of the run's beginning, evaluations and end.</param>
    /// <exception cref="ArgumentException">An option is out of its range.</exception>
    public RewardTrainer(
        RewardModel reward,
        RewardOptions? rewardOptions = null,
        TrainingOptions? options = null,
        optim.Optimizer? optimizer = null,
        ILogger? logger = null)
        : base(Objective(reward, rewardOptions ?? new RewardOptions()), options, optimizer, logger)
    {
    }

    private static RewardObjective Objective(RewardModel reward, RewardOptions options)
    {
        ArgumentNullException.ThrowIfNull(reward);
        options.Validate();
        return new RewardObjective(reward, options);
    }
}
