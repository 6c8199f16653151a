using Dpo.Losses;
using Dpo.Models;
using Microsoft.Extensions.Logging;
using static TorchSharp.torch;

namespace Dpo.Training;

/// <summary>Trains a policy on preferences with Direct Preference Optimization (Rafailov et al. 2023), or with any other loss of
/// its family.</summary>
/// <remarks>
/// <para>The loss of a step is the batch's, however that is cut into micro-batches: the mean over its pairs for most losses. One
/// that couples the batch (<see cref="IPreferenceLoss.IsBatchCoupled"/>) costs a second forward pass where a batch has several
/// micro-batches.</para>
/// <para>Rewards and log-probabilities are reported of chosen and rejected completions, or, where data have labels instead of
/// pairs, of desirable and undesirable ones.</para>
/// </remarks>
public sealed class DpoTrainer : Trainer
{
    /// <summary>Creates the trainer.</summary>
    /// <param name="pair">The models; they stay the caller's to dispose.</param>
    /// <param name="loss">The loss; plain DPO with β = 0.1 by default.</param>
    /// <param name="options">How to train; the paper's settings by default.</param>
    /// <param name="optimizer">An optimizer of your own over the policy's parameters, made after the policy was moved to its
    /// device; it keeps its learning rate unless the options set one or a schedule. By default the one the options name.</param>
    /// <param name="logger">Is told of the run's beginning, evaluations and end.</param>
    /// <exception cref="ArgumentException">The optimizer misses a parameter that is trained, or holds one twice.</exception>
    /// <exception cref="InvalidOperationException">The policy trains other parameters than when the pair was made.</exception>
    public DpoTrainer(
        PolicyReferencePair pair,
        IPreferenceLoss? loss = null,
        TrainingOptions? options = null,
        optim.Optimizer? optimizer = null,
        ILogger? logger = null)
        : base(
            new PreferenceObjective(
                (pair ?? throw new ArgumentNullException(nameof(pair))).Policy, pair, loss ??= new DpoLoss(),
                options ??= new TrainingOptions()),
            options, optimizer, logger)
    {
        pair.RequireTrainedAsCopied();
        RequireReferenceToMove(loss, options);
    }

    /// <summary>Creates the trainer of a loss that does without a reference, such as <see cref="SimPoLoss"/> or
    /// <see cref="OrpoLoss"/>: no copy of the weights is made.</summary>
    /// <param name="policy">The model to train; it stays the caller's to dispose. Like a pair's, it is put into evaluation mode,
    /// unless it is a <see cref="TransformerModel"/>.</param>
    /// <param name="loss">The loss; <see cref="IPreferenceLoss.UsesReference"/> is false.</param>
    /// <param name="options">As for the other constructor, and so are the exceptions.</param>
    /// <param name="optimizer">As for the other constructor.</param>
    /// <param name="logger">As for the other constructor.</param>
    /// <exception cref="ArgumentException">The loss compares the policy with a reference.</exception>
    public DpoTrainer(
        CausalLanguageModel policy,
        IPreferenceLoss loss,
        TrainingOptions? options = null,
        optim.Optimizer? optimizer = null,
        ILogger? logger = null)
        : base(
            new PreferenceObjective(
                PolicyReferencePair.InMode(policy ?? throw new ArgumentNullException(nameof(policy))), pair: null,
                Evaluator.WithoutReference(loss), options ??= new TrainingOptions()),
            options, optimizer, logger) =>
        RequireReferenceToMove(loss, options);

    private static void RequireReferenceToMove(IPreferenceLoss loss, TrainingOptions options)
    {
        if (options.MoveReferenceEvery is not null && !loss.UsesReference)
            throw new ArgumentException(
                "The loss does without a reference, so there is none to move; leave MoveReferenceEvery out.", nameof(options));
    }
}
