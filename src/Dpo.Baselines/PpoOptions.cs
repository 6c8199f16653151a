using Dpo.Generation;
using Dpo.Optimizers;
using Dpo.Training;
using Dpo.Training.Checkpointing;

namespace Dpo.Baselines;

/// <summary>How PPO trains a policy (Schulman et al. 2017; for language models Ziegler et al. 2019). The defaults are the numbers
/// of <see cref="Trl"/> where systems differ, but that gradients are clipped and the score is the last token's.</summary>
/// <remarks>A round samples completions, scores them, and makes <see cref="Epochs"/> passes of updates over them.</remarks>
public sealed record PpoOptions
{
    /// <summary>Rounds, 1 or more.</summary>
    public int Rounds { get; init; } = 100;

    /// <summary>Completions that a round samples, 1 or more.</summary>
    public int RolloutSize { get; init; } = 128;

    /// <summary>How they are sampled; the seed is the round's, and <see cref="SamplingOptions.SamplesPerPrompt"/> completions of
    /// a prompt count that many. Log-probabilities are at the temperature, which is above 0; top-k, top-p and the penalty are
    /// left at their defaults, since they are none of the policy's distribution.</summary>
    public SamplingOptions Sampling { get; init; } = new() { MaxNewTokens = 48 };

    /// <summary>Passes over a round's completions, 1 or more.</summary>
    public int Epochs { get; init; } = 4;

    /// <summary>Completions an update takes, 1 or more; null for all of a round's.</summary>
    public int? MiniBatchSize { get; init; }

    /// <summary>The most tokens computed at once, as <see cref="TrainingOptions.MicroBatchTokens"/>.</summary>
    public int MicroBatchTokens { get; init; } = 4096;

    /// <summary>AdamW's learning rate, above 0 and finite.</summary>
    public double LearningRate { get; init; } = 3e-6;

    /// <summary>What the learning rate is multiplied by, round by round; null leaves it as it is.</summary>
    public LearningRateSchedule? Schedule { get; init; }

    /// <summary>AdamW's β₂.</summary>
    public double Beta2 { get; init; } = 0.999;

    /// <summary>AdamW's ε.</summary>
    public double Epsilon { get; init; } = 1e-5;

    /// <summary>Gradients whose global L2 norm exceeds this are scaled down to it; infinity for no clipping, as TRL's trainer has
    /// it.</summary>
    public double MaxGradNorm { get; init; } = 1;

    /// <summary>γ, from 0 to 1: how much of a later reward counts.</summary>
    public double Gamma { get; init; } = 1;

    /// <summary>λ of generalized advantage estimation, from 0 to 1.</summary>
    public double Lambda { get; init; } = 0.95;

    /// <summary>ε of the policy's ratio, above 0.</summary>
    public double ClipRange { get; init; } = 0.2;

    /// <summary>ε of the values, above 0; infinity for none.</summary>
    public double ValueClipRange { get; init; } = 0.2;

    /// <summary>The weight of the value loss, 0 or more.</summary>
    public double ValueCoefficient { get; init; } = 0.1;

    /// <summary>The weight of the KL in the rewards, 0 or more; where it is controlled its beginning.</summary>
    public double KlCoefficient { get; init; } = 0.05;

    /// <summary>The KL that the weight is drawn towards, in nats a completion, above 0; null leaves the weight as it
    /// is.</summary>
    public double? KlTarget { get; init; }

    /// <summary>The completions after which a KL that is 20 % off has changed the weight by about 20 % (OpenAI's code): a round
    /// changes it by at most 0.2 · <see cref="RolloutSize"/> / horizon. Above 0.</summary>
    public double KlHorizon { get; init; } = 10000;

    /// <summary>The KL's estimator in the rewards.</summary>
    public KlEstimator KlEstimator { get; init; }

    /// <summary>Whether a round's rewards are brought to a deviation of 1, their mean kept.</summary>
    public bool WhitenRewards { get; init; }

    /// <summary>Whether a round's advantages are brought to mean 0 and a deviation of 1.</summary>
    public bool WhitenAdvantages { get; init; } = true;

    /// <summary>Where the score is added.</summary>
    public ScorePosition ScorePosition { get; init; }

    /// <summary>What of a completion is scored, where that is not all of it; a completion that has no such end counts as one that
    /// did not end by itself. It needs the policy's tokenizer. Null, the default: all, and the end is the sampling's.</summary>
    public ScoreCut? ScoreCut { get; init; }

    /// <summary>Scores beyond this, either way, are cut to it; above 0, infinity for none (trlx).</summary>
    public double ScoreRange { get; init; } = double.PositiveInfinity;

    /// <summary>Whether scores, once they are in their range, are divided by the deviation of all that the run has seen, this
    /// round's included (trlx's <c>scale_reward: running</c>).</summary>
    public bool ScaleScores { get; init; }

    /// <summary>What is taken off the score of a completion that did not end by itself, 0 or more.</summary>
    public double MissingEndPenalty { get; init; }

    /// <summary>What a completion that did not end by itself is worth, whatever its score (Ziegler et al. 2019; Huang et al.
    /// 2024); finite, and in place of <see cref="MissingEndPenalty"/>. Null, the default: its score, less the penalty.</summary>
    public double? MissingEndScore { get; init; }

    /// <summary>Whether updates also report <c>approx_kl_k1</c> and <c>approx_kl_k3</c> (<see cref="Dpo.Baselines.KlEstimator"/>,
    /// of the policy from the one that sampled), <c>ratio</c> (the mean of ρ = π/π_old), <c>ratio_outside</c> (the share of
    /// tokens whose ρ is further from 1 than <see cref="ClipRange"/>) and <c>entropy</c> (nats a token, at the sampling's
    /// temperature; it takes sums over the vocabulary).</summary>
    public bool DetailedMetrics { get; init; }

    /// <summary>Seeds the order of prompts, the draws and the order of updates.</summary>
    public int Seed { get; init; }

    /// <summary>Where and when rounds are saved: a step is a round there.</summary>
    public CheckpointOptions? Checkpoints { get; init; }

    /// <summary>The checkpoint to go on from, as for <see cref="TrainingOptions.ResumeFrom"/>.</summary>
    public string? ResumeFrom { get; init; }

    /// <summary>Whether a run may go on with other options than its checkpoint was written under, as for
    /// <see cref="TrainingOptions.ResumeWithChanges"/>.</summary>
    public bool ResumeWithChanges { get; init; }

    /// <summary>TRL's <c>PPOTrainer</c> of today, on TL;DR: gradients are not clipped, and the score is that of the state behind
    /// the last token. TRL values states by a model of their own: give the trainer one, such as the reward model's
    /// copy.</summary>
    public static PpoOptions Trl { get; } = new()
    {
        MaxGradNorm = double.PositiveInfinity,
        ScorePosition = ScorePosition.AfterLastToken,
        MissingEndPenalty = 1,
        Sampling = new() { MaxNewTokens = 53, Temperature = 0.7 },
    };

    /// <summary>What stands here for the paper's PPO: TRL's constants for gpt2 on IMDb at the paper's time, in batches of 1,024
    /// completions. <see cref="KlTarget"/> is what the paper varies: 3, 6, 9, 12.</summary>
    public static PpoOptions Paper { get; } = new()
    {
        LearningRate = 1.41e-5,
        Epsilon = 1e-8,
        RolloutSize = 1024,
        KlCoefficient = 0.2,
        KlTarget = 6,
    };

    /// <summary>Ziegler et al. 2019 (lm-human-preferences), of one GPU's batch: all completions have 24 tokens, are scored up to
    /// the first "." from the 17th on, and are worth −1 without one.</summary>
    public static PpoOptions Ziegler { get; } = new()
    {
        LearningRate = 1e-5,
        RolloutSize = 64,
        KlCoefficient = 0.15,
        KlTarget = 6,
        WhitenRewards = true,
        ScoreCut = new(".", From: 16),
        MissingEndScore = -1,
        Sampling = new() { MaxNewTokens = 24, Temperature = 0.7, EndOfTextIds = [] },
    };

    /// <summary>The N+ implementation details of RLHF with PPO (Huang et al. 2024), on TL;DR: a completion
    /// without an end of text is worth −1.</summary>
    public static PpoOptions NPlus { get; } = new()
    {
        RolloutSize = 512,
        MissingEndScore = -1,
        Sampling = new() { MaxNewTokens = 53, Temperature = 0.7 },
        Schedule = LearningRateSchedules.Cosine(warmupSteps: 0),
    };

    /// <summary>trlx's defaults.</summary>
    public static PpoOptions Trlx { get; } = new()
    {
        LearningRate = 3e-5,
        Beta2 = 0.95,
        Epsilon = 1e-8,
        MiniBatchSize = 32,
        KlCoefficient = 0.001,
        ValueCoefficient = 1,
        ScoreRange = 10,
        Sampling = new() { MaxNewTokens = 40 },
    };

    /// <summary>trlx's for Helpful-Harmless dialogues: scores over their running deviation, a KL that is drawn to 6.</summary>
    public static PpoOptions TrlxHelpfulHarmless { get; } = Trlx with
    {
        LearningRate = 8e-6,
        KlCoefficient = 0.05,
        KlTarget = 6,
        ScaleScores = true,
    };

    internal void Validate()
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(Rounds, 1);
        ArgumentOutOfRangeException.ThrowIfLessThan(RolloutSize, 1);
        ArgumentOutOfRangeException.ThrowIfLessThan(Epochs, 1);
        ArgumentOutOfRangeException.ThrowIfLessThan(MiniBatchSize ?? 1, 1, nameof(MiniBatchSize));
        RequireShare(Gamma, nameof(Gamma));
        RequireShare(Lambda, nameof(Lambda));
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(ClipRange);
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(ValueClipRange);
        ArgumentOutOfRangeException.ThrowIfNegative(ValueCoefficient);
        ArgumentOutOfRangeException.ThrowIfNegative(KlCoefficient);
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(KlTarget ?? 1, nameof(KlTarget));
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(KlHorizon);
        ArgumentOutOfRangeException.ThrowIfNegative(MissingEndPenalty);
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(ScoreRange);
        if (MissingEndScore is { } worth && !double.IsFinite(worth))
            throw new ArgumentOutOfRangeException(nameof(MissingEndScore), worth, "MissingEndScore is a finite number.");
        if (MissingEndScore is not null && MissingEndPenalty > 0)
            throw new ArgumentException(
                "A completion that did not end has a worth of its own or a penalty: leave out MissingEndScore or " +
                "MissingEndPenalty.", nameof(MissingEndScore));
        if (ScoreCut is { From: < 0 } or { Text: "" })
            throw new ArgumentException(
                "ScoreCut names a token's text of one character or more, and a place of at least 0.", nameof(ScoreCut));
        Sampling.Validate();
        if (Sampling is not { Temperature: > 0, TopK: null, TopP: 1, RepetitionPenalty: 1 })
            throw new ArgumentException(
                "PPO learns by the log-probabilities of what was drawn: sample at a temperature above 0, without top-k, top-p " +
                "and repetition penalty.", nameof(Sampling));
        if (RolloutSize % Sampling.SamplesPerPrompt != 0)
            throw new ArgumentException(
                $"A round's {RolloutSize} completions are no multiple of the {Sampling.SamplesPerPrompt} of each prompt.",
                nameof(RolloutSize));
        Checkpoints?.Validate();
    }

    private static void RequireShare(double value, string name)
    {
        if (!(value is >= 0 and <= 1))
            throw new ArgumentOutOfRangeException(name, value, $"{name} is a number from 0 to 1.");
    }
}
