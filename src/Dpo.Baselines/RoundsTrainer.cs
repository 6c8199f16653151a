using Dpo.Batching;
using Dpo.Losses;
using Dpo.Optimizers;
using Dpo.Tokenization;
using Dpo.Training;
using Dpo.Training.Checkpointing;
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Logging.Abstractions;
using static TorchSharp.torch;

namespace Dpo.Baselines;

/// <summary>
/// DPO that goes on sampling: rounds in which the policy completes prompts, a reward scores what it wrote, pairs are made of that
/// and trained on.
/// </summary>
/// <remarks>
/// <para>A round is a step of progress and of checkpoints. Metrics: <c>objective/scores</c>, <c>length</c>, <c>pairs</c>, and the
/// means over the round's updates of what <see cref="DpoTrainer"/> reports. A round whose completions give no pair trains
/// nothing.</para>
/// <para>What a round draws follows from the seed and its number. So a run that was killed at any moment, and goes on from its
/// last checkpoint, ends with the bytes of the run that was not.</para>
/// </remarks>
public sealed class RoundsTrainer : IDisposable
{
    private readonly PolicyReferencePair pair;
    private readonly IReward reward;
    private readonly IPreferenceLoss loss;
    private readonly RoundsOptions options;
    private readonly TextTokenizer? tokenizer;
    private readonly PairMaker pairs;
    private readonly IRoundSampler sampler;
    private readonly ILogger logger;
    private readonly TrainedParameters trained;
    private readonly optim.Optimizer optimizer;

    /// <summary>Creates the trainer.</summary>
    /// <param name="pair">The models; they stay the caller's to dispose.</param>
    /// <param name="reward">What scores completions.</param>
    /// <param name="loss">The loss; plain DPO with β = 0.1 by default.</param>
    /// <param name="options">How rounds go.</param>
    /// <param name="pairs">What is made of a prompt's completions; <see cref="PairMaking.AllPairs"/> by default.</param>
    /// <param name="tokenizer">The policy's, where prompts are text, rewards read text, or completions end at its end-of-text
    /// token.</param>
    /// <param name="sampler">Who writes completions; the policy by default.</param>
    /// <param name="logger">Is told of the run's beginning and checkpoints.</param>
    /// <exception cref="ArgumentException">An option is out of its range.</exception>
    public RoundsTrainer(
        PolicyReferencePair pair, IReward reward, IPreferenceLoss? loss = null, RoundsOptions? options = null,
        PairMaker? pairs = null, TextTokenizer? tokenizer = null, IRoundSampler? sampler = null, ILogger? logger = null)
    {
        ArgumentNullException.ThrowIfNull(pair);
        ArgumentNullException.ThrowIfNull(reward);
        this.options = options ?? new RoundsOptions();
        this.options.Validate();
        (this.pair, this.reward, this.tokenizer) = (pair, reward, tokenizer);
        (this.loss, this.pairs) = (loss ?? new DpoLoss(), pairs ?? PairMaking.AllPairs);
        this.sampler = sampler ?? new PolicySampler();
        this.logger = logger ?? NullLogger.Instance;
        trained = new TrainedParameters(pair.Policy);
        var training = this.options.Training;
        optimizer = training.Optimizer.Create(trained.Parameters, LearningRate, training.WeightDecay);
    }

    private double LearningRate => options.Training.LearningRate ?? 1e-6;

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
        var rounds = new RoundPrompts(prompts, options.PromptsPerRound, options.Seed);
        var plan = new CheckpointPlan
        {
            Options = options.Checkpoints,
            ResumeFrom = options.ResumeFrom,
            AllowsChanges = options.ResumeWithChanges,
            TotalSteps = options.Rounds,
            Facts = () => Facts(rounds),
        };
        logger.LogInformation("{Rounds} rounds of {Prompts} prompts.", options.Rounds, options.PromptsPerRound);
        new RoundLoop(plan, State(), logger).Run(
            round => Round(prompts, rounds.Of(round), rounds.SeedOf(round), cancellationToken), progress, cancellationToken);
    }

    /// <summary>Disposes the optimizer.</summary>
    public void Dispose() => optimizer.Dispose();

    /// <summary>What rounds change: weights, the optimizer, the reference where it moves, what a loss keeps.</summary>
    private TrainedState State() =>
        new(pair.Policy, trained, optimizer, new PreferenceObjective(pair.Policy, pair, loss, options.Training));

    private RoundResult Round(
        IReadOnlyList<IReadOnlyList<int>> prompts, int[] places, int seed, CancellationToken cancellationToken)
    {
        IReadOnlyList<int>[] taken = [.. places.Select(place => prompts[place])];
        var samples = sampler.Sample(pair, taken, options.Sampling with { Seed = seed }, tokenizer, cancellationToken);
        var scores = Scores.Of(reward, taken, samples, tokenizer);
        var examples = samples.Zip(scores, (sample, score) => (sample, score)).GroupBy(scored => scored.sample.PromptIndex)
            .Select(group => pairs(new ScoredCompletions(
                places[group.Key], taken[group.Key], [.. group.Select(scored => scored.sample.Tokens)],
                [.. group.Select(scored => scored.score)])))
            .OfType<TokenizedExample>().ToArray();
        var values = new Dictionary<string, double>
        {
            ["objective/scores"] = scores.Average(),
            ["length"] = samples.Average(sample => sample.Tokens.Count),
            ["pairs"] = examples.Sum(example => example.Pairs.Count),
        };
        if (examples.Length > 0)
        {
            foreach (var (name, value) in Update(examples, seed))
                values[name] = value;
        }
        if (options.MoveReference)
            pair.MoveReference(1);
        return new(values, samples.Count, samples.Sum(sample => (long)sample.Tokens.Count + taken[sample.PromptIndex].Count));
    }

    private IEnumerable<(string Name, double Value)> Update(IReadOnlyList<TokenizedExample> examples, int seed)
    {
        var means = new MeanMetrics();
        using var trainer = new DpoTrainer(
            pair, loss, options.Training with { LearningRate = LearningRate, Seed = seed }, optimizer, logger: null);
        using var data = new PreferenceData(examples);
        trainer.Train(data, progress: means);
        return means.Of();
    }

    private IEnumerable<RunFact> Facts(RoundPrompts prompts)
    {
        var deciding = options with { Training = options.Training with { Schedule = null } };
        return
        [
            .. RoundFacts.Of(nameof(RoundsTrainer), reward, prompts, pair, deciding, options.Rounds),
            new("the loss", loss.Description, OnChange.RefuseUnlessAllowed),
            new("the pairs", pairs.Method.Name, OnChange.RefuseUnlessAllowed),
            .. sampler is PolicySampler
                ? [] : (RunFact[])[new("the sampler", sampler.Description, OnChange.RefuseUnlessAllowed)],
            // A round has as many steps as it has pairs for: a schedule is known by what it gives at some.
            TrainingFacts.Of(options.Training.Schedule, 100) with { ValueOver = null },
        ];
    }
}
