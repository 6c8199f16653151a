using Dpo.Batching;
using Dpo.Models;
using Dpo.Optimizers;
using Dpo.Tokenization;
using Dpo.Training;
using Dpo.Training.Checkpointing;
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Logging.Abstractions;

namespace Dpo.Baselines;

/// <summary>
/// Trains a policy by PPO on what a reward says of its own completions, less their KL to the reference: the paper's baseline.
/// With a learned reward model it is the paper's PPO, with the task's true reward its PPO-GT.
/// </summary>
/// <remarks>
/// <para>A round samples completions of the next prompts, scores them, estimates advantages, and makes updates over them. It is a
/// step of progress and of checkpoints. Metrics: <c>objective/scores</c>, <c>objective/kl</c> (nats a completion),
/// <c>objective/rlhf_reward</c> (the mean sum of a completion's rewards), <c>kl_coefficient</c>, <c>length</c>, <c>ended</c> (the
/// share that ended by itself), and means over the round's updates: <c>loss</c>, <c>policy_loss</c>, <c>value_loss</c>,
/// <c>approx_kl</c>, <c>clip_fraction</c>,
/// <c>value_clip_fraction</c>, <c>grad_norm</c>, <c>learning_rate</c>, and those of
/// <see cref="PpoOptions.DetailedMetrics"/>.</para>
/// <para>What a round draws follows from the seed and its number. So a run that was killed at any moment, and goes on from its
/// last checkpoint, ends with the bytes of the run that was not.</para>
/// </remarks>
public sealed class PpoTrainer : IDisposable
{
    private readonly PpoOptions options;
    private readonly PolicyReferencePair pair;
    private readonly TextTokenizer? tokenizer;
    private readonly ILogger logger;
    private readonly ActorCritic models;
    private readonly TrainedParameters trained;
    private readonly FusedAdamW optimizer;
    private readonly PpoObjective objective;
    private readonly RolloutSampling rollouts;
    private readonly KlControl control;
    private readonly IReward reward;

    /// <summary>Creates the trainer.</summary>
    /// <param name="pair">The policy, a <see cref="TransformerModel"/>, and the reference; they stay the caller's to
    /// dispose.</param>
    /// <param name="reward">What scores completions.</param>
    /// <param name="options">How to train; TRL's constants by default.</param>
    /// <param name="tokenizer">The policy's, where prompts are text, rewards read text, or completions end at its end-of-text
    /// token.</param>
    /// <param name="valueModel">A model with a scalar head that values states, such as
    /// <see cref="TransformerModel.WithScalarHead"/> makes of the policy, or a copy of the reward model's; it is trained, and
    /// stays the caller's to dispose. Null for a head on the policy's own hidden states.</param>
    /// <param name="logger">Is told of the run's beginning, checkpoints and end.</param>
    /// <exception cref="ArgumentException">An option is out of its range, or a model is none of those asked for.</exception>
    public PpoTrainer(
        PolicyReferencePair pair, IReward reward, PpoOptions? options = null, TextTokenizer? tokenizer = null,
        TransformerModel? valueModel = null, ILogger? logger = null)
    {
        ArgumentNullException.ThrowIfNull(pair);
        ArgumentNullException.ThrowIfNull(reward);
        this.options = options ?? new PpoOptions();
        this.options.Validate();
        if (pair.Policy is not TransformerModel policy)
            throw new ArgumentException("PPO samples with a cache, and takes a TransformerModel for a policy.", nameof(pair));
        if (valueModel is { IsScalar: false })
            throw new ArgumentException(
                "The model of values gives logits, not one number; make it by policy.WithScalarHead().", nameof(valueModel));
        if (tokenizer is null && this.options.ScoreCut is { } cut)
            throw new ArgumentException(
                $"ScoreCut ends what is scored at the token \"{cut.Text}\", and the trainer was given no tokenizer that spells " +
                "tokens; give the policy's.", nameof(tokenizer));
        (this.pair, this.reward, this.tokenizer, this.logger) = (pair, reward, tokenizer, logger ?? NullLogger.Instance);
        models = new ActorCritic(policy, valueModel, this.options.Sampling.Temperature);
        trained = new TrainedParameters(models);
        optimizer = new FusedAdamW(
            trained.Parameters, this.options.LearningRate, beta2: this.options.Beta2, epsilon: this.options.Epsilon);
        objective = new PpoObjective(models, this.options);
        rollouts = new RolloutSampling(models, pair, reward, tokenizer, this.options);
        control = new KlControl(
            this.options.KlCoefficient, this.options.KlTarget, this.options.RolloutSize / this.options.KlHorizon);
    }

    /// <summary>Trains on prompts that are text.</summary>
    /// <param name="prompts">The prompts, each of one token or more; gone through in an order of their own in each pass.</param>
    /// <param name="progress">Is told of every round, on the calling thread, once its checkpoint is written where one is
    /// due.</param>
    /// <param name="cancellationToken">Ends the run between two rounds or while it samples; where there are checkpoints the last
    /// round's is written.</param>
    /// <exception cref="InvalidInputException">As the other overload.</exception>
    /// <exception cref="OperationCanceledException">The run was cancelled.</exception>
    public void Train(
        IReadOnlyList<string> prompts, IProgress<TrainingMetrics>? progress = null, CancellationToken cancellationToken = default)
    {
        ArgumentNullException.ThrowIfNull(prompts);
        if (tokenizer is null)
            throw new InvalidInputException("Prompts are text, and the trainer was given no tokenizer; give the policy's.");
        Train([.. prompts.Select(tokenizer.EncodePrompt)], progress, cancellationToken);
    }

    /// <summary>Trains on prompts that are tokens.</summary>
    /// <param name="prompts">As for the other overload.</param>
    /// <param name="progress">As for the other overload.</param>
    /// <param name="cancellationToken">As for the other overload.</param>
    /// <exception cref="InvalidInputException">There is no prompt, one is too long or holds an unknown id, or the checkpoint is
    /// damaged or of another run.</exception>
    /// <exception cref="NotFiniteNumberException">A loss, a gradient or a weight was not finite.</exception>
    public void Train(
        IReadOnlyList<IReadOnlyList<int>> prompts, IProgress<TrainingMetrics>? progress = null,
        CancellationToken cancellationToken = default)
    {
        var rounds = new RoundPrompts(prompts, options.RolloutSize / options.Sampling.SamplesPerPrompt, options.Seed);
        var plan = new CheckpointPlan
        {
            Options = options.Checkpoints,
            ResumeFrom = options.ResumeFrom,
            AllowsChanges = options.ResumeWithChanges,
            TotalSteps = options.Rounds,
            Facts = () => Facts(rounds),
        };
        logger.LogInformation("PPO for {Rounds} rounds of {Size} completions.", options.Rounds, options.RolloutSize);
        new RoundLoop(plan, new TrainedState(models, trained, optimizer, new PpoState(control, rollouts.Worth)), logger).Run(
            round => Round([.. rounds.Of(round).Select(place => prompts[place])], round, rounds.SeedOf(round), cancellationToken),
            progress, cancellationToken);
    }

    /// <summary>Disposes the optimizer, and the value head where it is the policy's.</summary>
    public void Dispose()
    {
        optimizer.Dispose();
        models.Dispose();
    }

    private RoundResult Round(IReadOnlyList<IReadOnlyList<int>> prompts, int round, int seed, CancellationToken cancellationToken)
    {
        var sampled = rollouts.Of(prompts, seed, cancellationToken);
        rollouts.Estimate(sampled, control.Coefficient);
        var values = new Dictionary<string, double>
        {
            ["objective/scores"] = sampled.Average(rollout => rollout.Score),
            ["objective/kl"] = sampled.Average(rollout => rollout.Kl.Sum()),
            ["objective/rlhf_reward"] = sampled.Average(rollout => rollout.Rewards.Sum()),
            ["kl_coefficient"] = control.Coefficient,
            ["length"] = sampled.Average(rollout => rollout.Kl.Length),
            ["ended"] = sampled.Average(rollout => rollout.Ended ? 1.0 : 0.0),
        };
        foreach (var (name, value) in Update(sampled, round, seed))
            values[name] = value;
        control.Observe(values["objective/kl"]);
        return new(values, sampled.Length, sampled.Sum(rollout => (long)rollout.Example.TokenCount));
    }

    /// <summary>Makes the updates of a round.</summary>
    /// <returns>Their mean metrics.</returns>
    private IEnumerable<(string Name, double Value)> Update(IReadOnlyList<Rollout> sampled, int round, int seed)
    {
        objective.Take(sampled);
        var training = new TrainingOptions
        {
            LearningRate = options.LearningRate * (options.Schedule?.Invoke(round, options.Rounds) ?? 1),
            MaxGradNorm = options.MaxGradNorm,
            BatchSize = options.MiniBatchSize ?? sampled.Count,
            MicroBatchTokens = options.MicroBatchTokens,
            Epochs = options.Epochs,
            Seed = seed,
        };
        var means = new MeanMetrics();
        using var trainer = new Trainer(objective, training, optimizer);
        using var data = new PreferenceData(sampled.Select(rollout => rollout.Example));
        trainer.Train(data, progress: means);
        return means.Of();
    }

    /// <summary>What the result depends on, beside the models and the machine.</summary>
    private IEnumerable<RunFact> Facts(RoundPrompts prompts) =>
    [
        .. RoundFacts.Of(nameof(PpoTrainer), reward, prompts, pair, options with { Schedule = null }, options.Rounds),
        TrainingFacts.Of(options.Schedule, options.Rounds),
    ];
}
