using System.Diagnostics;
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Logging.Abstractions;
using TorchSharp.Modules;
using static TorchSharp.torch;

namespace Dpo;

/// <summary>
/// The training loop: batches, micro-batches whose gradients add up to the whole batch's, clipping, learning rate, update,
/// metrics. What is minimized is the subclass's matter.
/// </summary>
public abstract class Trainer : IDisposable
{
    private readonly CausalLanguageModel model;
    private readonly List<Parameter> parameters;
    private readonly TrainingOptions options;
    private readonly optim.Optimizer optimizer;
    private readonly bool ownsOptimizer;
    private readonly ILogger logger;

    private protected Trainer(CausalLanguageModel model, TrainingOptions? options, optim.Optimizer? optimizer, ILogger? logger)
    {
        ArgumentNullException.ThrowIfNull(model);
        this.model = model;
        this.options = options ?? new TrainingOptions();
        this.options.Validate();
        this.logger = logger ?? NullLogger.Instance;
        parameters = [.. model.parameters().Where(parameter => parameter.requires_grad)];
        if (parameters.Count == 0)
            throw new ArgumentException(
                "The model has no parameter that requires a gradient, so there is nothing to train; a merged adapter is trained after UnmergeAdapter.",
                nameof(model));
        ownsOptimizer = optimizer is null;
        this.optimizer = optimizer ?? Optimizers.Create(parameters, this.options);
    }

    /// <summary>Whether the loss of a part of a batch depends on the other parts.</summary>
    private protected virtual bool IsBatchCoupled => false;

    /// <summary>Whether the loss takes <see cref="CompletionLogProbs.LogSquaredProbs"/>.</summary>
    private protected virtual bool UsesLogSquaredProbs => false;

    /// <summary>Whether <see cref="CompletionLogProbs.Statistics"/> are measured.</summary>
    private protected bool IsDetailed => options.DetailedMetrics;

    /// <summary>The pair whose reference the loss is measured against; null where it does without one.</summary>
    private protected virtual PolicyReferencePair? Pair => null;

    /// <summary>Refuses data that cannot be trained or evaluated on, before a run begins.</summary>
    private protected virtual void Require(PreferenceData data)
    {
    }

    /// <summary>Is called after every update of the weights.</summary>
    /// <param name="step">The step, from 1.</param>
    private protected virtual void AfterUpdate(int step)
    {
    }

    /// <summary>What the reference says of a micro-batch, without gradients; null where there is no need of it.</summary>
    private protected abstract CompletionLogProbs? Reference(BatchTensors part);

    /// <summary>Measures a micro-batch.</summary>
    /// <param name="part">Its log-probabilities.</param>
    /// <param name="whole">What the whole batch, or all held-out data, holds.</param>
    /// <returns>The part's share of the whole's loss, a scalar with its graph, and of every metric, a vector, the loss
    /// first: shares add up to the whole's averages.</returns>
    private protected abstract (Tensor Loss, Tensor Metrics) Measure(PreferenceLogProbs part, PreferenceCounts whole);

    /// <summary>Names the metrics of a whole, in the order of <see cref="Measure"/>; null where there is nothing to
    /// average.</summary>
    private protected abstract IReadOnlyList<string?> MetricNames(PreferenceCounts whole);

    /// <summary>What a resumed run must have in common with the interrupted one, besides model, data and options.</summary>
    private protected abstract IEnumerable<RunFact> Facts();

    /// <summary>Trains, and evaluates on held-out data where there is any.</summary>
    /// <param name="data">What to train on.</param>
    /// <param name="heldOut">What to evaluate on after the last step and every <see cref="TrainingOptions.EvaluateEvery"/>
    /// steps.</param>
    /// <param name="progress">Is told of every step, on the calling thread.</param>
    /// <param name="cancellation">Ends the run between two steps; the model keeps the last step's weights, and where there are
    /// checkpoints one is written.</param>
    /// <exception cref="OperationCanceledException">The run was cancelled; the message says what it can be resumed from.</exception>
    /// <exception cref="NotFiniteNumberException">A loss or gradient was not finite; the update was not made. The message names the
    /// step, its examples and the largest weights.</exception>
    /// <exception cref="InvalidInputException">The checkpoint to resume from is damaged or of another run, or another run writes to
    /// the folder of checkpoints.</exception>
    /// <exception cref="IOException">A checkpoint could not be written; those before it are untouched.</exception>
    public void Train(
        PreferenceData data,
        PreferenceData? heldOut = null,
        IProgress<TrainingMetrics>? progress = null,
        CancellationToken cancellation = default) =>
        Run(data, heldOut is null ? [] : [(Prefix: "eval_", heldOut)], progress, cancellation);

    /// <summary>Trains, and evaluates on several held-out sets: the metrics of a set named <c>helpful</c> begin with
    /// <c>eval_helpful_</c>, as TRL's do.</summary>
    /// <param name="data">What to train on.</param>
    /// <param name="heldOut">The held-out sets by name, evaluated in the order of their names.</param>
    /// <param name="progress">As for the other overload, and so are the exceptions.</param>
    /// <param name="cancellation">As for the other overload.</param>
    public void Train(
        PreferenceData data,
        IReadOnlyDictionary<string, PreferenceData> heldOut,
        IProgress<TrainingMetrics>? progress = null,
        CancellationToken cancellation = default)
    {
        ArgumentNullException.ThrowIfNull(heldOut);
        Run(data, [.. heldOut.OrderBy(set => set.Key, StringComparer.Ordinal).Select(set => ($"eval_{set.Key}_", set.Value))], progress, cancellation);
    }

    private void Run(
        PreferenceData data, (string Prefix, PreferenceData Data)[] heldOut, IProgress<TrainingMetrics>? progress, CancellationToken cancellation)
    {
        ArgumentNullException.ThrowIfNull(data);
        RequireBestMetric(heldOut);
        int? seed = options.Shuffle ? options.Seed : null;
        var batches = Enumerable.Range(0, options.Steps is null ? options.Epochs : int.MaxValue)
            .SelectMany(epoch => data.Batches(options.BatchSize, seed, epoch));
        var totalSteps = options.Steps ?? batches.Count();
        logger.LogInformation("Training on {Examples} examples for {Steps} steps.", data.Examples.Count, totalSteps);

        Require(data);
        foreach (var (_, set) in heldOut)
            Require(set);
        using var run = new CheckpointedRun(
            options, new TrainedState(model, parameters, optimizer, Pair), totalSteps, () => FactsOf(data, heldOut), logger);
        var at = run.Position;
        var pace = new PaceClock(totalSteps - at.Step);
        var clock = Stopwatch.StartNew();
        if (options.EvaluateFirst && at.Step == 0 && heldOut.Length > 0)
            progress?.Report(new TrainingMetrics(0, totalSteps, EvaluateAll(heldOut, step: 0), clock.Elapsed));
        foreach (var batch in batches.Take(totalSteps).Skip(at.Step))
        {
            if (cancellation.IsCancellationRequested)
                throw new OperationCanceledException(run.Leave(at), cancellation);
            clock.Restart();
            var values = Step(batch, at.Step, totalSteps, run.LastGood);
            at = Watched(at.After(batch), values);
            AfterUpdate(at.Step);
            var stepTime = clock.Elapsed;
            values["epoch"] = (double)at.Examples / data.Examples.Count;
            values["num_tokens"] = at.Tokens;
            if (heldOut.Length > 0 && (at.Step == totalSteps || at.Step % (options.EvaluateEvery ?? totalSteps) == 0))
            {
                foreach (var (name, value) in EvaluateAll(heldOut, at.Step))
                    values[name] = value;
            }
            progress?.Report(new TrainingMetrics(at.Step, totalSteps, values, clock.Elapsed) { Pace = pace.After(batch, stepTime) });
            // After the report, so that what was measured up to a checkpoint has been told.
            at = run.After(at, values, isLast: at.Step == totalSteps);
        }
        logger.LogInformation("Trained for {Steps} steps.", at.Step);
    }

    /// <summary>Measures the loss and its companions on data, without training.</summary>
    /// <returns>TRL's metric names with <c>eval_</c> in front; averages over all pairs.</returns>
    public IReadOnlyDictionary<string, double> Evaluate(PreferenceData data)
    {
        ArgumentNullException.ThrowIfNull(data);
        return Evaluate(data, "eval_");
    }

    private Dictionary<string, double> Evaluate(PreferenceData data, string prefix)
    {
        using var noGrad = no_grad();
        var whole = PreferenceCounts.Of(data.Examples);
        var sums = data.Batches(options.BatchSize).Select(batch => Run(batch, whole, train: false)).Aggregate(Add);
        return Metrics(whole, sums).ToDictionary(metric => prefix + metric.Key, metric => metric.Value);
    }

    private Dictionary<string, double> EvaluateAll((string Prefix, PreferenceData Data)[] heldOut, int step)
    {
        var values = new Dictionary<string, double>();
        foreach (var (prefix, data) in heldOut)
        {
            foreach (var (name, value) in Evaluate(data, prefix))
                values[name] = value;
            logger.LogInformation("After step {Step} {Name} is {Loss:g6}.", step, prefix + "loss", values[prefix + "loss"]);
        }
        return values;
    }

    /// <summary>Refuses to keep the best checkpoint by what no evaluation measures: before the run, not hours into it.</summary>
    private void RequireBestMetric((string Prefix, PreferenceData Data)[] heldOut)
    {
        if (options.Checkpoints?.KeepBest is not { Name: var best })
            return;
        string[] names = [.. heldOut.SelectMany(set => MetricNames(PreferenceCounts.Of(set.Data.Examples)).OfType<string>().Select(name => set.Prefix + name))];
        if (!names.Contains(best))
            throw new InvalidInputException(names.Length > 0
                ? $"KeepBest: no evaluation measures {best}; there are {string.Join(", ", names)}."
                : $"KeepBest: {best} cannot be measured without held-out data; give the trainer some.");
    }

    private IEnumerable<RunFact> FactsOf(PreferenceData data, (string Prefix, PreferenceData Data)[] heldOut) =>
    [
        new("the trainer", GetType().Name, Change.Refused),
        RunFacts.Of("the training data", data, Change.Refused),
        .. heldOut.Select(set => RunFacts.Of($"the held-out data of {set.Prefix}*", set.Data, Change.Allowed)),
        .. RunFacts.Of(model, optimizer),
        .. Facts(),
    ];

    /// <summary>Says once where the log-probability of chosen completions has fallen far.</summary>
    private RunPosition Watched(RunPosition at, Dictionary<string, double> values)
    {
        if (!values.TryGetValue("logps/chosen", out var chosen) || !double.IsFinite(chosen))
            return at;
        at = at with { FirstChosenLogProb = at.FirstChosenLogProb ?? chosen };
        if (at.WarnedOfFall || at.FirstChosenLogProb - chosen is not { } fall || fall <= options.WarnOfChosenFall)
            return at;
        logger.LogWarning(
            "At step {Step} the mean log-probability of the chosen completions is {Fall:g4} nats below the first step's: the policy gives up " +
            "what it should prefer. An SFT term in the loss (CombinedLoss), a larger β or a smaller learning rate holds it up.", at.Step, fall);
        return at with { WarnedOfFall = true };
    }

    private Dictionary<string, double> Step(PreferenceBatch batch, int step, int totalSteps, string? lastGood)
    {
        // Users' optimizers may leave behind handles to gradients and intermediate values; state they keep out of the scope.
        using var scope = NewDisposeScope();
        var counts = batch.Counts;
        optimizer.zero_grad();
        var sums = Run(batch, counts, train: true);
        BackwardFailure.Rethrow();
        var gradNorm = GradientNorm.Clip(parameters, options.MaxGradNorm);
        if (!double.IsFinite(sums[0]) || !double.IsFinite(gradNorm))
            throw new NotFiniteNumberException(
                $"Step {step + 1} has loss {sums[0]} and gradient norm {gradNorm}; the update was not made. Its examples: " +
                $"{string.Join(", ", batch.Examples.Select(example => example.Source ?? "unnamed"))}. The largest weights: {LargestWeights.Of(model)}." +
                (lastGood is null ? "" : $" The last good checkpoint is {lastGood}."));

        var learningRate = options.LearningRate * options.Schedule(step, totalSteps);
        foreach (var group in optimizer.ParamGroups)
            group.LearningRate = learningRate;
        optimizer.step();

        var values = Metrics(counts, sums);
        values["grad_norm"] = gradNorm;
        values["learning_rate"] = learningRate;
        return values;
    }

    private Dictionary<string, double> Metrics(PreferenceCounts whole, double[] sums) =>
        MetricNames(whole).Zip(sums).Where(metric => metric.First is not null).ToDictionary(metric => metric.First!, metric => metric.Second);

    /// <summary>Runs a batch part by part, in training with the backward pass, and adds up what was measured.</summary>
    private double[] Run(PreferenceBatch batch, PreferenceCounts whole, bool train)
    {
        PreferenceBatch[] parts = [.. batch.Split(options.MicroBatchTokens, options.MicroBatchSize)];
        return parts.Length > 1 && IsBatchCoupled
            ? CoupledParts.Run(parts, Forward, part => Measure(part, whole), train ? Policy : null, model.Device)
            : parts.Select(part =>
            {
                using var scope = NewDisposeScope();
                var (loss, metrics) = Measure(Forward(part.To(model.Device)), whole);
                if (train)
                    loss.backward();
                return Values(metrics);
            }).Aggregate(Add);
    }

    /// <summary>Metrics out of their tensor.</summary>
    internal static double[] Values(Tensor metrics) => [.. metrics.cpu().data<float>().Select(value => (double)value)];

    private static double[] Add(double[] sums, double[] values) => [.. sums.Zip(values, (sum, value) => sum + value)];

    /// <summary>The log-probabilities of a part. The reference's first: it may run on the policy's parameters, whose values may not
    /// change once the policy's graph holds on to them.</summary>
    private PreferenceLogProbs Forward(BatchTensors part)
    {
        var reference = Reference(part);
        return new PreferenceLogProbs(Policy(part), reference, part.Preferences);
    }

    private CompletionLogProbs Policy(BatchTensors part) => CompletionLogProbs.Compute(model, part, UsesLogSquaredProbs, IsDetailed);

    /// <summary>Disposes the optimizer, where the trainer made it; the models are their owner's.</summary>
    public void Dispose()
    {
        if (ownsOptimizer)
            optimizer.Dispose();
        GC.SuppressFinalize(this);
    }
}
