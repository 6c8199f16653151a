// Runs that a researcher listens to, and ends: told of each step and each evaluation, by one who sees the package alone.
var failures = 0;
void Expect<T>(string what, T expected, T actual)
{
    if (EqualityComparer<T>.Default.Equals(expected, actual))
        return;
    failures++;
    Console.Error.WriteLine($"{what}: {actual}\nexpected: {expected}");
}

// What is held out prefers otherwise in a third of its rows: a model that goes on too long is worse there.
var (data, heldOut) = (Data(24, mistaken: 0), Data(18, mistaken: 3));
using var loss = new DpoLoss(beta: 0.5);
var options = new TrainingOptions
{
    Optimizer = OptimizerKind.AdamW, LearningRate = 0.003, Schedule = (_, _) => 1, BatchSize = 8, Steps = 10, EvaluateEvery = 4,
};

// Every step is told, in order and on this thread, and so is every evaluation: the first before any step, the last behind the last.
var all = Run(options with { EvaluateFirst = true });
Expect("steps", "0 1 2 3 4 5 6 7 8 9 10", Steps(all.Told));
Expect("steps with an evaluation", "0 4 8 10", Steps(all.Told.Where(step => step.HasEvaluation)));
Expect("steps of the run", 10, all.Told.Select(step => step.TotalSteps).Distinct().Single());
Expect("steps with a loss", "1 2 3 4 5 6 7 8 9 10", Steps(all.Told.Where(step => step.Values.ContainsKey("loss"))));
Expect("told on another thread", false, all.Threads.Any(thread => thread != Environment.CurrentManagedThreadId));
Near("the first evaluation", Math.Log(2), all.Told[0]["eval_loss"]);
Near("the first loss", Math.Log(2), all.Told[1]["loss"]);
Near("the last evaluation", all.Evaluated, all.Told[^1]["eval_loss"]);
Expect("pairs told", "8 16 24 32", string.Join(' ', all.Told.Skip(1).Take(4).Select(step => Math.Round(step["epoch"] * 24))));

// A condition of one's own ends the run behind the step that it is asked after: no exception, and the weights of a run of so many steps.
var asked = new List<int>();
var stopped = Run(options with
{
    Checkpoints = new CheckpointOptions { Folder = "stopped" },
    StopWhen = step =>
    {
        asked.Add(step.Step);
        return step.Step > 2 && step["rewards/margins"] > 0;
    },
});
Expect("asked after", "1 2 3", string.Join(' ', asked));
Expect("stopped after", (3, 3, 3), (stopped.Told[^1].Step, stopped.StepsMade, stopped.TotalSteps));
Expect("as a run of 3 steps", Run(options with { Steps = 3 }).Evaluated, stopped.Evaluated);
Expect("checkpoint", Path.Combine("stopped", "step-000003"), Checkpoints.Latest("stopped"));
var rest = Run(options with { ResumeFrom = Checkpoints.Latest("stopped") });
Expect("gone on with", ("4 5 6 7 8 9 10", all.Evaluated), (Steps(rest.Told), rest.Evaluated));

// Early stopping, and the best weights in the end.
var best = new BestMetric("eval_loss");
var patient = Run(options with
{
    LearningRate = 0.02, Steps = 200, EvaluateEvery = 1, StopWhen = EarlyStopping.On(best, patience: 4),
    Checkpoints = new CheckpointOptions { Folder = "patient", KeepBest = best, LoadBest = true },
});
var losses = patient.Told.ConvertAll(step => step["eval_loss"]);
var at = losses.IndexOf(losses.Min());
Expect("it went up and down", true, at > 0 && losses.Count < 200 && losses[^1] > losses[at] + 0.001);
Expect("evaluations behind the best", 4, losses.Count - 1 - at);
Expect("the best step's loss", losses[at], patient.Evaluated);
Expect("the best step's checkpoint", Path.Combine("patient", $"step-{at + 1:000000}"), Checkpoints.Best("patient"));
Expect("steps made", losses.Count, patient.StepsMade);

// Several are told, each of everything; what one throws reaches the caller, and costs no step.
var (one, other) = (new Listener(), new Listener());
Run(options with { Steps = 2 }, Progress.All(one, other));
Expect("several", ("1 2", "1 2"), (Steps(one.Told), Steps(other.Told)));
var thrown = Thrown<FormatException>(() => Run(
    options with { Checkpoints = new CheckpointOptions { Folder = "thrown" } },
    new Listener(step => throw new FormatException($"mine, of {step.Step}"), from: 6)));
Expect("thrown", "mine, of 6", thrown);
Expect("after it", Path.Combine("thrown", "step-000006"), Checkpoints.Latest("thrown"));
var mended = Run(options with { ResumeFrom = Checkpoints.Latest("thrown") });
Expect("told again", ("6 7 8 9 10", all.Evaluated), (Steps(mended.Told), mended.Evaluated));

// No held-out data is null, and cancelling is .NET's own.
using (var model = New())
using (var pair = new PolicyReferencePair(model))
using (var trainer = new DpoTrainer(pair, loss, options with { Checkpoints = new CheckpointOptions { Folder = "cancelled" } }))
using (var source = new CancellationTokenSource())
{
    var listener = new Listener(_ => source.Cancel(), from: 5);
    Expect(
        "cancelled", $"Stopped after step 5; the run can be resumed from {Path.Combine("cancelled", "step-000005")}.",
        Thrown<OperationCanceledException>(() => trainer.Train(data, null, listener, cancellationToken: source.Token)));
    Expect("without held-out data", ("1 2 3 4 5", false), (Steps(listener.Told), listener.Told.Any(step => step.HasEvaluation)));
    Expect("steps made", (5, 10), (trainer.StepsMade, trainer.TotalSteps));
}
using (var model = New())
using (var pair = new PolicyReferencePair(model))
using (var trainer = new DpoTrainer(pair, loss, options with { ResumeFrom = Checkpoints.Latest("cancelled") }))
{
    trainer.Train(data, null);
    Expect("cancelled and gone on with", all.Evaluated, trainer.Evaluate(heldOut)["eval_loss"]);
    using var source = new CancellationTokenSource();
    source.Cancel();
    Thrown<OperationCanceledException>(() => trainer.Evaluate(heldOut, source.Token));
    Thrown<OperationCanceledException>(() => Sampler.Sample(model, [[1]], new SamplingOptions { MaxNewTokens = 8 }, cancellationToken: source.Token));
}

if (failures == 0)
    Console.WriteLine("steps, ends, cancellations: as they are");
return failures == 0 ? 0 : 1;

void Near(string what, double expected, double actual) => Expect($"{what}, about", Math.Round(expected, 5), Math.Round(actual, 5));

Course Run(TrainingOptions options, IProgress<TrainingMetrics>? progress = null)
{
    using var model = New();
    using var pair = new PolicyReferencePair(model);
    using var trainer = new DpoTrainer(pair, loss, options);
    var listener = new Listener();
    trainer.Train(data, heldOut, progress ?? listener);
    return new(listener.Told, listener.Threads, trainer.StepsMade, trainer.TotalSteps, trainer.Evaluate(heldOut)["eval_loss"]);
}

static Gpt2 New() => new(new Gpt2Config { VocabularySize = 30, MaxPositions = 16, HiddenSize = 16, LayerCount = 1, HeadCount = 2 }, seed: 3);

static string Steps(IEnumerable<TrainingMetrics> told) => string.Join(' ', told.Select(step => step.Step));

static string Thrown<T>(Action run)
    where T : Exception
{
    try
    {
        run();
    }
    catch (T e)
    {
        return e.Message;
    }
    throw new InvalidOperationException($"No {typeof(T).Name} was thrown.");
}

// Answers above 15 are preferred to those below, but for every so many a row.
static PreferenceData Data(int count, int mistaken)
{
    var random = new Random(count);
    int[] Ids(int from, int length) => [.. Enumerable.Range(0, length).Select(_ => random.Next(from, from + 14))];
    return new(Enumerable.Range(0, count).Select(index =>
    {
        var isMistaken = mistaken > 0 && index % mistaken == 0;
        return new TokenizedExample(Ids(1, 3), [[.. Ids(15, 3), 0], [.. Ids(1, 4), 0]], [isMistaken ? new(1, 0) : new(0, 1)]);
    }));
}

internal sealed record Course(List<TrainingMetrics> Told, List<int> Threads, int StepsMade, int TotalSteps, double Evaluated);

/// <summary>Keeps what it is told, and may do something more from a step on.</summary>
internal sealed class Listener(Action<TrainingMetrics>? then = null, int from = 0) : IProgress<TrainingMetrics>
{
    public List<TrainingMetrics> Told { get; } = [];

    public List<int> Threads { get; } = [];

    public void Report(TrainingMetrics value)
    {
        Told.Add(value);
        Threads.Add(Environment.CurrentManagedThreadId);
        if (value.Step >= from)
            then?.Invoke(value);
    }
}
