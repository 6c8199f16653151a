// Two objectives of one's own, by one who sees the package alone: what a trainer does for DPO it does for them.
using Dpo.Weights;
using TorchSharp;
using TorchSharp.Modules;
using static TorchSharp.torch;

var (data, heldOut) = (Data(16), Data(6));
var unusable = new PreferenceData([new TokenizedExample([1], [[2], [3]], [])]);
var options = new TrainingOptions
{
    Optimizer = OptimizerKind.AdamW, LearningRate = 0.05, BatchSize = 4, Steps = 14, EvaluateEvery = 2,
};

foreach (var name in (string[])["distillation", "regression"])
{
    // Straight through; and stopped behind the fifth step, without an exception, to go on from there.
    var whole = Run(name, $"{name}-whole", options);
    var stopped = Run(name, $"{name}-parts", options with { StopWhen = step => step.Step == 5 });
    var rest = Run(name, $"{name}-parts", options with { ResumeFrom = Checkpoints.Latest($"{name}-parts") });
    Console.WriteLine($"{name}: eval_loss {Fall(whole, "eval_loss")}, eval_distance {Fall(whole, "eval_distance")}");
    var same = Same(whole, stopped, rest);
    Console.WriteLine($"{name}: {whole.Steps.Count} steps are {stopped.Steps.Count} and {rest.Steps.Count}, {same}");

    // Cut into parts, the sums are the same to rounding.
    var cut = Run(name, $"{name}-cut", options with { MicroBatchSize = 1, Steps = 1 }).Steps[0];
    var isClose = whole.Steps[0].Values.All(one => Math.Abs(one.Value - cut[one.Key]) < 1e-5);
    Console.WriteLine($"{name}: cut into parts {isClose}");

    // A learning rate that makes it now better, now worse: the run ends early, and the best weights are the model's.
    var best = new BestMetric("eval_distance");
    var patient = Run(name, $"{name}-patient", options with
    {
        LearningRate = 3, Steps = 200, EvaluateEvery = 1, StopWhen = EarlyStopping.On(best, patience: 3),
        Checkpoints = new CheckpointOptions { Folder = $"{name}-patient", KeepBest = best, LoadBest = true },
    });
    var evaluations = patient.Steps.ConvertAll(step => step[best.Name]);
    var waited = evaluations.Count - 1 - evaluations.IndexOf(evaluations.Min());
    var isBest = patient.At == evaluations.Min();
    Console.WriteLine($"{name}: stopped {waited} evaluations behind the best, {isBest} that it is the model's");

    // What a resumed run must share, and what cannot be trained on, is the objective's to say.
    var longer = options with { Steps = 15, ResumeFrom = Checkpoints.Latest($"{name}-parts") };
    Console.WriteLine($"{name}: {Refusal(() => Run(name, $"{name}-parts", longer, teacherSeed: 9))}");
    Console.WriteLine($"{name}: {Refusal(() => Run(name, $"{name}-unused", options, unusable))}");
}

Course Run(string name, string folder, TrainingOptions options, PreferenceData? other = null, int teacherSeed = 7)
{
    using var teacher = new ScoringModel(teacherSeed);
    using var model = new ScoringModel(seed: 3);
    using var trainer = new Trainer(
        name == "distillation" ? new Distillation(model, teacher) : new ScoreRegression(model, scale: teacherSeed / 7.0),
        options with { Checkpoints = options.Checkpoints ?? new CheckpointOptions { Folder = folder, Every = 4 } });
    var steps = new List<TrainingMetrics>();
    trainer.Train(other ?? data, heldOut, new Recorder(steps));
    var weights = model.parameters().SelectMany(weight => weight.detach().flatten().data<float>().ToArray());
    return new(steps, [.. weights], trainer.Evaluate(heldOut)["eval_distance"]);
}

static string Refusal(Func<Course> run)
{
    try
    {
        run();
        return "not refused";
    }
    catch (InvalidInputException e)
    {
        var isOther = e.Message.Contains("the teacher") || e.Message.Contains("the scale");
        return isOther ? "another teacher or scale is refused" : e.Message;
    }
}

static string Fall(Course run, string name)
{
    var values = run.Steps.Where(step => step.Values.ContainsKey(name)).Select(step => step[name]).ToList();
    return values[^1] < values[0] ? "fell" : string.Join(", ", values);
}

static string Same(Course whole, Course stopped, Course rest)
{
    var steps = stopped.Steps.Concat(rest.Steps);
    var areSame = whole.Steps.Zip(steps, (one, other) => one.Values.SequenceEqual(other.Values)).All(same => same);
    return areSame && whole.Weights.SequenceEqual(rest.Weights) ? "to the bit" : "not the same";
}

static PreferenceData Data(int count)
{
    var random = new Random(1);
    int[] Ids(int length) => [.. Enumerable.Range(0, length).Select(_ => random.Next(1, 20))];
    TokenizedExample Example(int index) => new(Ids(3), [[.. Ids(2), 0], [.. Ids(4), 0]], [new PreferencePair(0, 1)])
    {
        Scores = [random.NextSingle(), -random.NextSingle()], Source = $"row {index}",
    };
    return new(Enumerable.Range(0, count).Select(Example));
}

/// <summary>Draws the chosen completion's log-probabilities to those of a teacher: their mean squared distance, in
/// nats².</summary>
internal sealed class Distillation(CausalLanguageModel student, CausalLanguageModel teacher) : LogProbObjective(student)
{
    public override void Require(PreferenceData data)
    {
        if (data.Examples.FirstOrDefault(example => example.Pairs.Count == 0) is { } example)
            throw new InvalidInputException($"{example.Source ?? "An example"}: nothing chosen to distil.");
    }

    public override IReadOnlyList<Metric> Metrics(PreferenceCounts whole) =>
        [new("distance"), new("closer_than_a_nat", whole.Pairs)];

    public override (Tensor Loss, IReadOnlyList<Tensor> Metrics) Measure(PreferenceLogProbs part, PreferenceCounts whole)
    {
        var gaps = (part.Policy.Sums - part.Reference!.Sums).index_select(0, part.Preferences.Chosen);
        var distances = gaps.detach().abs();
        var closer = distances.lt(ones_like(distances)).sum(float32);
        return (gaps.Squared().sum().DividedBy(whole.Pairs), [distances.sum().DividedBy(whole.Pairs), closer]);
    }

    public override IEnumerable<RunFact> Facts() =>
        [new("the teacher", TensorDigest.Of(teacher.state_dict().Select(named => (named.Key, named.Value))), OnChange.Refuse)];

    protected override CompletionLogProbs Reference(BatchTensors part) => CompletionLogProbs.Compute(teacher, part);
}

/// <summary>Draws a head's output at the end of each completion of a pair to the completion's score, which the data
/// carry.</summary>
internal sealed class ScoreRegression(ScoringModel model, double scale) : Objective(model)
{
    public override void Require(PreferenceData data)
    {
        if (data.Examples.FirstOrDefault(example => example.Scores is null) is { } example)
            throw new InvalidInputException($"{example.Source ?? "An example"}: no scores.");
    }

    public override IReadOnlyList<Metric> Metrics(PreferenceCounts whole) => [new("distance")];

    public override (Tensor Loss, IReadOnlyList<Tensor> Metrics) Measure(PreferenceBatch part, PreferenceCounts whole)
    {
        var tensors = part.To(Model.Device);
        var ends = tensor(tensors.Layout.CompletionOffsets.Skip(1).Select(end => tensors.Layout.RowOfToken[end - 1]).ToArray());
        var scores = model.Score.call(model.call(tensors.Ids, tensors.Layout).index_select(0, ends)).squeeze(1);
        var gaps = scores - tensors.Preferences.Scores!.Times(scale);
        return (gaps.Squared().sum().DividedBy(2 * whole.Pairs), [gaps.detach().abs().sum().DividedBy(2 * whole.Pairs)]);
    }

    public override IEnumerable<RunFact> Facts() => [new("the scale", $"{scale:r}", OnChange.RefuseUnlessAllowed)];
}

/// <summary>A small model with one more head, whose weights are trained and kept with the others.</summary>
internal sealed class ScoringModel : CausalLanguageModel
{
    private readonly Embedding table;
    private readonly Linear head, score;

    public ScoringModel(int seed)
        : base(nameof(ScoringModel))
    {
        torch.random.manual_seed(seed);
        (table, head, score) = (nn.Embedding(20, 8), nn.Linear(8, 20), nn.Linear(8, 1));
        RegisterComponents();
    }

    public Linear Score => score;

    public override OutputHead Head => new(head.weight, head.bias);

    public override Tensor forward(Tensor ids, SequenceLayout layout) => table.call(ids);
}

internal sealed record Course(List<TrainingMetrics> Steps, float[] Weights, double At);

internal sealed class Recorder(List<TrainingMetrics> steps) : IProgress<TrainingMetrics>
{
    public void Report(TrainingMetrics value) => steps.Add(value);
}
