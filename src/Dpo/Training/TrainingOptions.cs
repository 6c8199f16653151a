using Dpo.Batching;
using Dpo.Models.Lora;
using Dpo.Optimizers;
using Dpo.Training.Checkpointing;
using static TorchSharp.torch;

namespace Dpo.Training;

/// <summary>How to train. The defaults are the paper's (Appendix B; clipping at 10 is its code's), not TRL's, which are AdamW, a
/// linear schedule, clipping at 1 and three epochs.</summary>
/// <remarks>Dropout is the model's matter: the architectures here have none, as the paper trains without; an adapter has what
/// <see cref="LoraOptions.Dropout"/> says; a module of your own is put into evaluation mode by <see cref="PolicyReferencePair"/>,
/// since it may stand for the reference too.</remarks>
public sealed record TrainingOptions
{
    /// <summary>The optimizer.</summary>
    public OptimizerKind Optimizer { get; init; } = OptimizerKind.RmsProp;

    /// <summary>The learning rate once warmed up; above 0 and finite. Null, the default, is the paper's 1e-6, or, for an
    /// optimizer of your own, the rate of each of its groups of parameters.</summary>
    public double? LearningRate { get; init; }

    /// <summary>What the learning rate is multiplied by at each step, a finite number. Null, the default, is the paper's warm-up
    /// over 150 steps, then constant; an optimizer of your own keeps its rates as they are. Where the warm-up is longer than the
    /// run a warning is logged, with the rate that will be reached.</summary>
    public LearningRateSchedule? Schedule { get; init; }

    /// <summary>Decoupled weight decay, 0 or more; AdamW's only.</summary>
    public double WeightDecay { get; init; }

    /// <summary>Gradients whose global L2 norm exceeds this are scaled down to it; above 0, infinity for no clipping.</summary>
    public double MaxGradNorm { get; init; } = 10;

    /// <summary>The most pairs in an optimizer step, or the most completions, where data have no pairs: labelled ones for KTO
    /// (those of <see cref="PreferenceData.WithMismatches"/> come on top), chosen ones in supervised fine-tuning.</summary>
    /// <remarks>An example is never split. One with a ranking counts its pairs: 6, where 4 completions are ranked.</remarks>
    public int BatchSize { get; init; } = 64;

    /// <summary>The most pairs computed at once, counted as in <see cref="BatchSize"/>. Bounds memory; the result does not depend
    /// on it.</summary>
    public int MicroBatchSize { get; init; } = int.MaxValue;

    /// <summary>The most tokens computed at once, each prompt counted once. Bounds memory; the result does not depend on
    /// it.</summary>
    /// <remarks>An example of more tokens is computed a few completions at a time, its prompt repeated: a prompt that occurs in
    /// very many rows, or a long ranking. Where preferences join more completions than fit, that takes one more forward pass of
    /// the example. A pair, and a completion, is always computed whole.</remarks>
    public int MicroBatchTokens { get; init; } = 4096;

    /// <summary>Passes over the data, where <see cref="Steps"/> is not given.</summary>
    public int Epochs { get; init; } = 1;

    /// <summary>Optimizer steps, over as many passes as they take; null for whole <see cref="Epochs"/>.</summary>
    public int? Steps { get; init; }

    /// <summary>Steps from one evaluation to the next; null evaluates after the last step only.</summary>
    public int? EvaluateEvery { get; init; }

    /// <summary>
    /// Whether TRL's other metrics are measured too, which takes sums over the vocabulary and costs a part of the output head's
    /// time: <c>logits/chosen</c> and <c>logits/rejected</c>, the mean logit over the tokens of those completions and the
    /// vocabulary; <c>mean_token_accuracy</c>, how many of the chosen completions' tokens are the likeliest; <c>entropy</c>, in
    /// nats, over all completion tokens. Supervised fine-tuning has the latter two, over all completion tokens.
    /// </summary>
    public bool DetailedMetrics { get; init; }

    /// <summary>
    /// Steps from one move of the reference towards the policy to the next (TR-DPO, Gorbatovski et al. 2024; TRL's
    /// <c>sync_ref_model</c> with <c>ref_model_sync_steps</c>, there 512); null, the default, leaves the reference where it is,
    /// as the paper does. Rewards, measured against the new reference, fall back at every move. Supervised fine-tuning has no
    /// reference and ignores it.
    /// </summary>
    public int? MoveReferenceEvery { get; init; }

    /// <summary>How far it moves, α in ref ← α·policy + (1 − α)·ref: above 0, at most 1, which makes it the policy (TRL's
    /// <c>ref_model_mixup_alpha</c>).</summary>
    public double MoveReferenceBy { get; init; } = 0.6;

    /// <summary>Whether held-out data are evaluated before the first step too; reported as step 0.</summary>
    public bool EvaluateFirst { get; init; }

    /// <summary>Whether each epoch is shuffled anew; otherwise the order is the file's.</summary>
    public bool Shuffle { get; init; } = true;

    /// <summary>Seeds the order of the data.</summary>
    public int Seed { get; init; }

    /// <summary>How far, in nats, <c>logps/chosen</c> may fall below the first step's before a warning is logged, once; above 0,
    /// infinity for none.</summary>
    /// <remarks>DPO trains the difference of chosen and rejected only, so that both often fall. 100 nats are about one for each
    /// token of an answer, more than batches differ by chance and more than the tens of nats that runs without trouble
    /// fall.</remarks>
    public double WarnOfChosenFall { get; init; } = 100;

    /// <summary>Ends the run after a step for which this returns true, as if it had been the last: the step is evaluated where
    /// that is due, and reported, and where there are checkpoints one is written, from which the run can go on. Null for never.
    /// It is asked after every report, that of <see cref="EvaluateFirst"/> among them, on the calling thread;
    /// <see cref="EarlyStopping.On"/> makes one that looks at a held-out metric.</summary>
    public Func<TrainingMetrics, bool>? StopWhen { get; init; }

    /// <summary>Where and when to save what a run needs to go on after an interruption; null for no checkpoints.</summary>
    public CheckpointOptions? Checkpoints { get; init; }

    /// <summary>The checkpoint to go on from, such as <see cref="Checkpointing.Checkpoints.Latest"/> gives it; null begins anew.
    /// Make the model, the pair, the data and the options as at the first start: the trained weights then come from the
    /// checkpoint.</summary>
    /// <remarks>
    /// <para>On the same CPU, with the same binaries and number of threads, weights and metrics are to the bit those of a run
    /// that was never interrupted, however it ended. Where one of these is another a warning is logged.</para>
    /// <para>The number of steps and what is evaluated may change, and are logged. Other changed options are refused unless
    /// <see cref="ResumeWithChanges"/> is set; other data, batches, frozen weights or another reference always.</para>
    /// </remarks>
    public string? ResumeFrom { get; init; }

    /// <summary>Whether a run may go on with options other than its checkpoint was written under: another learning rate, schedule
    /// or loss, say. They are logged as a warning.</summary>
    public bool ResumeWithChanges { get; init; }

    /// <summary>With the paper's learning rate and schedule where none is given, unless the optimizer is the user's
    /// own.</summary>
    internal TrainingOptions For(optim.Optimizer? own) => own is not null ? this : this with
    {
        LearningRate = LearningRate ?? 1e-6,
        Schedule = Schedule ?? LearningRateSchedules.Paper(warmupSteps: 150),
    };

    /// <summary>Refuses values outside their ranges.</summary>
    internal void Validate()
    {
        if (!(LearningRate is null or (> 0 and < double.PositiveInfinity)))
            throw new ArgumentOutOfRangeException(
                nameof(LearningRate), LearningRate, "The learning rate must be above 0 and finite.");
        ArgumentOutOfRangeException.ThrowIfNegative(WeightDecay);
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(MaxGradNorm);
        ArgumentOutOfRangeException.ThrowIfLessThan(BatchSize, 1);
        ArgumentOutOfRangeException.ThrowIfLessThan(MicroBatchSize, 1);
        ArgumentOutOfRangeException.ThrowIfLessThan(MicroBatchTokens, 1);
        ArgumentOutOfRangeException.ThrowIfLessThan(Epochs, 1);
        ArgumentOutOfRangeException.ThrowIfLessThan(Steps ?? 1, 1);
        ArgumentOutOfRangeException.ThrowIfLessThan(EvaluateEvery ?? 1, 1);
        ArgumentOutOfRangeException.ThrowIfLessThan(MoveReferenceEvery ?? 1, 1, nameof(MoveReferenceEvery));
        if (!(MoveReferenceBy is > 0 and <= 1))
            throw new ArgumentOutOfRangeException(
                nameof(MoveReferenceBy), MoveReferenceBy, "The reference moves by a share above 0 and at most 1.");
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(WarnOfChosenFall);
        Checkpoints?.Validate();
        if (WeightDecay > 0 && Optimizer == OptimizerKind.RmsProp)
            throw new ArgumentException("RMSprop has no decoupled weight decay; use AdamW or a weight decay of 0.");
    }
}
