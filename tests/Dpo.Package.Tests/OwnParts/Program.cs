// Every part that a researcher may write, by one who sees the package alone: each is trained with for a few steps.
using Dpo.Files;
using Dpo.Weights;
using TorchSharp;
using TorchSharp.Modules;
using static TorchSharp.torch;

var random = new Random(0);
int[] Ids(int count) => [.. Enumerable.Range(0, count).Select(_ => random.Next(1, 20))];
var data = new PreferenceData(Enumerable.Range(0, 8).Select(_ => new TokenizedExample(Ids(3), [[.. Ids(2), 0], [.. Ids(4), 0]], [new PreferencePair(0, 1)])));

(string Name, CausalLanguageModel Model, IPreferenceLoss Loss)[] parts =
[
    ("module", new LogitsModel(new OwnModule()), new DpoLoss()),
    ("model", new OwnModel(), new DpoLoss()),
    ("pair loss", new OwnModel(), new OwnPairLoss()),
    ("preference loss", new OwnModel(), new OwnPreferenceLoss()),
];
foreach (var (name, model, loss) in parts)
{
    using var pair = new PolicyReferencePair(model);
    using var optimizer = new OwnOptimizer(pair.Policy.parameters());
    var steps = new OwnProgress();
    var options = new TrainingOptions { LearningRate = 0.5, Schedule = OwnSchedule, BatchSize = 8, Steps = 4 };
    using var trainer = new DpoTrainer(pair, loss, options, optimizer);
    trainer.Train(data, progress: steps);
    Console.WriteLine($"{name}: {(steps.Losses[^1] < steps.Losses[0] ? "the loss fell" : string.Join(", ", steps.Losses))}");
}

// A run with an optimizer of one's own is stopped, and goes on from its checkpoint as if it had not been.
var whole = Run("whole", steps: 6, resumeFrom: null);
Run("stopped", steps: 3, resumeFrom: null);
Console.WriteLine($"optimizer: {(Run("stopped", steps: 6, Checkpoints.Latest("stopped")).SequenceEqual(whole) ? "goes on as it was" : "goes on otherwise")}");

float[] Run(string folder, int steps, string? resumeFrom)
{
    torch.random.manual_seed(3);
    using var pair = new PolicyReferencePair(new OwnModel());
    using var optimizer = new OwnOptimizer(pair.Policy.parameters());
    var options = new TrainingOptions
    {
        LearningRate = 0.1, BatchSize = 4, Steps = steps, ResumeFrom = resumeFrom, Checkpoints = new CheckpointOptions { Folder = folder, Every = 3 },
    };
    using var trainer = new DpoTrainer(pair, new DpoLoss(), options, optimizer);
    trainer.Train(data);
    return [.. pair.Policy.parameters().SelectMany(parameter => parameter.detach().flatten().data<float>().ToArray())];
}

static double OwnSchedule(int step, int totalSteps) => 1 - 0.5 * step / totalSteps;

/// <summary>Ids [B, T] to logits [B, T, V].</summary>
internal sealed class OwnModule : nn.Module<Tensor, Tensor>
{
    private readonly Embedding table = nn.Embedding(20, 20);

    public OwnModule()
        : base(nameof(OwnModule)) => RegisterComponents();

    public override Tensor forward(Tensor ids) => table.call(ids);
}

/// <summary>Ids [N], wherever they lie, to hidden states [N, D], and a head.</summary>
internal sealed class OwnModel : CausalLanguageModel
{
    private readonly Embedding table = nn.Embedding(20, 8);
    private readonly Linear head = nn.Linear(8, 20);

    public OwnModel()
        : base(nameof(OwnModel)) => RegisterComponents();

    public override OutputHead Head => new(head.weight, head.bias);

    public override Tensor forward(Tensor ids, SequenceLayout layout) => table.call(ids);
}

internal sealed class OwnPairLoss : PairLoss
{
    public override double Beta => 0.1;

    public override Tensor Losses(PairLogProbs pairs) => pairs.Margins.Times(Beta).OneMinus().relu().Squared();
}

internal sealed class OwnPreferenceLoss : PreferenceLoss
{
    public override Tensor Share(PreferenceLogProbs part, PreferenceCounts batch)
    {
        var pairs = part.Pairs();
        return (-nn.functional.logsigmoid(pairs.Margins)).sum().DividedBy(batch.Pairs);
    }

    public override Tensor Rewards(PreferenceLogProbs part) => part.LogRatios.detach();
}

/// <summary>Steepest descent with momentum, which goes into checkpoints.</summary>
internal sealed class OwnOptimizer : optim.Optimizer, IRestorableOptimizer
{
    private readonly Parameter[] all;
    private readonly Tensor[] momenta;

    public OwnOptimizer(IEnumerable<Parameter> parameters)
        : base(IntPtr.Zero)
    {
        all = [.. parameters];
        momenta = [.. all.Select(parameter => zeros_like(parameter).DetachFromDisposeScope())];
        _parameter_groups = [new Group { Parameters = all, Options = new OptimizerOptions { LearningRate = 1, InitialLearningRate = 1 } }];
    }

    public override IEnumerable<Parameter> parameters() => all;

    public override void zero_grad()
    {
        foreach (var parameter in all)
            parameter.grad = null;
    }

    public override Tensor step(Func<Tensor>? closure = null)
    {
        using var scope = NewDisposeScope();
        using var noGrad = no_grad();
        foreach (var (parameter, momentum) in all.Zip(momenta))
        {
            if (parameter.grad is not { } gradient)
                continue;
            momentum.copy_(momentum.Times(0.5).Plus(gradient));
            parameter.sub_(momentum.Times(ParamGroups.First().LearningRate));
        }
        return null!;
    }

    public IEnumerable<(string Name, Tensor Tensor)> State() => momenta.Select((momentum, index) => ($"momentum.{index}", momentum));

    public void LoadState(IEnumerable<(string Name, Tensor Tensor)> state)
    {
        foreach (var (name, tensor) in state)
            momenta[int.Parse(name.Split('.')[1])].copy_(tensor);
    }

    private sealed class Group : ParamGroup;
}

internal sealed class OwnProgress : IProgress<TrainingMetrics>
{
    public List<double> Losses { get; } = [];

    public void Report(TrainingMetrics value) => Losses.Add(value["loss"]);
}
