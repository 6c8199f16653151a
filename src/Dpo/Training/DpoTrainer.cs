using Microsoft.Extensions.Logging;
using static TorchSharp.torch;

namespace Dpo;

/// <summary>Trains a policy on preferences with Direct Preference Optimization (Rafailov et al. 2023).</summary>
/// <remarks>The loss of a step is the mean over the pairs of its batch, however the batch is cut into micro-batches.</remarks>
public sealed class DpoTrainer : Trainer
{
    private readonly PolicyReferencePair pair;
    private readonly DpoLoss loss;

    /// <summary>Creates the trainer.</summary>
    /// <param name="pair">The models; they stay the caller's to dispose.</param>
    /// <param name="loss">The loss; plain DPO with β = 0.1 by default.</param>
    /// <param name="options">How to train; the paper's settings by default.</param>
    /// <param name="optimizer">An optimizer of your own over the policy's parameters, made after the policy was moved to its
    /// device; its learning rate follows the options' schedule. By default the one the options name.</param>
    /// <param name="logger">Is told of the run's beginning, evaluations and end.</param>
    public DpoTrainer(
        PolicyReferencePair pair,
        DpoLoss? loss = null,
        TrainingOptions? options = null,
        optim.Optimizer? optimizer = null,
        ILogger? logger = null)
        : base(NotNull(pair).Policy, options, optimizer, logger)
    {
        this.pair = pair;
        this.loss = loss ?? new DpoLoss();
    }

    private protected override IReadOnlyList<string> MetricNames { get; } =
    [
        "loss", "rewards/chosen", "rewards/rejected", "rewards/margins", "rewards/accuracies", "logps/chosen", "logps/rejected",
    ];

    private protected override int CountIn(PreferenceBatch batch) => batch.PairCount > 0
        ? batch.PairCount
        : throw new InvalidInputException(
            "A batch holds no pair of a chosen and a rejected completion, so DPO has nothing to learn from it; SftTrainer trains on completions alone.");

    private protected override (Tensor Loss, Tensor Metrics) Forward(BatchTensors batch)
    {
        var (policy, reference) = pair.LogProbs(batch);
        var (losses, rewards) = loss.call(policy.Sums, reference.Sums, batch.Chosen, batch.Rejected);
        var sum = losses.sum();

        var logProbs = policy.Sums.detach();
        var (chosen, rejected) = (rewards.index_select(0, batch.Chosen), rewards.index_select(0, batch.Rejected));
        var metrics = stack(
        [
            sum.detach(), chosen.sum(), rejected.sum(), (chosen - rejected).sum(), chosen.gt(rejected).sum(float32),
            logProbs.index_select(0, batch.Chosen).sum(), logProbs.index_select(0, batch.Rejected).sum(),
        ]);
        return (sum, metrics);
    }

    private static PolicyReferencePair NotNull(PolicyReferencePair pair)
    {
        ArgumentNullException.ThrowIfNull(pair);
        return pair;
    }
}
