// Measuring and sampling without a trainer, by one who sees the package alone; each number by hand beside it.
using System.Globalization;
using TorchSharp;
using TorchSharp.Modules;
using static TorchSharp.torch;

var failures = 0;
void Expect<T>(string what, IEnumerable<T> expected, IEnumerable<T> actual)
{
    if (expected.SequenceEqual(actual))
        return;
    failures++;
    Console.Error.WriteLine($"{what}: {string.Join(" | ", actual)}\nexpected: {string.Join(" | ", expected)}");
}
void Near(string what, IEnumerable<double> expected, IEnumerable<double> actual, double within = 1e-4)
{
    if (expected.Count() == actual.Count() && expected.Zip(actual, (one, other) => Math.Abs(one - other) <= within).All(isNear => isNear))
        return;
    failures++;
    Console.Error.WriteLine($"{what}: {string.Join(" | ", actual)}\nexpected: {string.Join(" | ", expected)}");
}

const double beta = 0.25;
var random = new Random(0);
int[] Ids(int count) => [.. Enumerable.Range(0, count).Select(_ => random.Next(1, 20))];
var data = new PreferenceData(Enumerable.Range(0, 6).Select(index => new TokenizedExample(
    Ids(random.Next(1, 5)), [[.. Ids(2), 0], [.. Ids(4), 0], [.. Ids(1), 0]], [new(0, 1), new(2, 1)]) { Source = $"rows, all:{index + 1}" }));

// A policy that has moved: the base, and an adapter that was trained and saved.
new Gpt2(new Gpt2Config { VocabularySize = 20, MaxPositions = 16, HiddenSize = 16, LayerCount = 2, HeadCount = 2 }, seed: 1).Save("base");
using (var trained = CausalLanguageModel.Load("base"))
{
    trained.AddLora(new LoraOptions { Rank = 2, Alpha = 8 });
    using var toTrain = new PolicyReferencePair(trained);
    using var trainer = new DpoTrainer(toTrain, options: new TrainingOptions
    {
        LearningRate = 0.01, Schedule = (_, _) => 1, Steps = 6,
        Checkpoints = new CheckpointOptions { Folder = "checkpoints", Every = 3 },
    });
    trainer.Train(data, null);
    trained.SaveAdapter("adapter");
}

using var policy = CausalLanguageModel.Load("base");
policy.LoadAdapter("adapter");
using var reference = CausalLanguageModel.Load("base");
using var pair = new PolicyReferencePair(policy, reference);

// Log-probabilities of given completions, for every one of their tokens.
double[][] ByHand(CausalLanguageModel model) =>
    [.. data.Examples.SelectMany(example => example.Completions.Select(completion => Alone(model, example.Prompt, completion)))];
double[][] Measured(CausalLanguageModel model) =>
    [.. Evaluator.LogProbs(model, data).SelectMany(example => example).Select(values => values.Select(value => (double)value).ToArray())];
var (ofPolicy, ofReference) = (ByHand(policy), ByHand(reference));
Expect("tokens", ofPolicy.Select(values => values.Length), Measured(policy).Select(values => values.Length));
Near("log-probabilities", ofPolicy.SelectMany(values => values), Measured(policy).SelectMany(values => values));
Near("log-probabilities, a few at a time", ofPolicy.SelectMany(values => values),
    Evaluator.LogProbs(policy, data, maxTokens: 6).SelectMany(example => example).SelectMany(values => values).Select(value => (double)value));

// Rewards of every pair, as they are defined, and as a table that any program reads.
var rewards = Evaluator.Rewards(pair, data, new DpoLoss(beta)).ToList();
var expected = data.Examples.SelectMany((example, at) => example.Pairs.Select(one => (
    example.Source, one.Chosen, one.Rejected, Better: Reward(3 * at + one.Chosen), Worse: Reward(3 * at + one.Rejected)))).ToList();
double Reward(int completion) => beta * (ofPolicy[completion].Sum() - ofReference[completion].Sum());
Expect("pairs", expected.Select(one => (one.Source, one.Chosen, one.Rejected)), rewards.Select(one => (one.Source, one.Chosen, one.Rejected)));
Near("rewards", expected.SelectMany(one => (double[])[one.Better, one.Worse]), rewards.SelectMany(one => (double[])[one.ChosenReward, one.RejectedReward]));
RewardsTable.Write("rewards.csv", rewards);
var lines = File.ReadAllLines("rewards.csv");
string[] names = lines[0].Split(',');
Expect("lines", [13], [lines.Length]);
foreach (var (line, one) in lines.Skip(1).Zip(expected))
{
    // The source has a comma, and so is quoted.
    var quoted = $"\"{one.Source}\",";
    Expect("source", [quoted], [line[..quoted.Length]]);
    var fields = line[quoted.Length..].Split(',').Select(field => double.Parse(field, CultureInfo.InvariantCulture)).ToArray();
    double Field(string name) => fields[Array.IndexOf(names, name) - 1];
    Expect("indices and tokens", [one.Chosen, one.Rejected, one.Chosen == 0 ? 3 : 2, 5],
        [Field("chosen"), Field("rejected"), Field("tokens_chosen"), Field("tokens_rejected")]);
    Near("a row", [one.Better, one.Worse, one.Better - one.Worse, one.Better / beta],
        [Field("reward_chosen"), Field("reward_rejected"), Field("margin"), Field("logp_chosen") - Field("reference_logp_chosen")]);
}

// A pair is measured as the definitions say, the adapter merged or not; the model by itself too.
double[] margins = [.. expected.Select(one => one.Better - one.Worse)];
double[] Metrics() => [.. ((string[])["loss", "rewards/margins", "rewards/accuracies"]).Select(name => Evaluator.Evaluate(pair, data, new DpoLoss(beta))[name])];
double[] known =
[
    margins.Average(margin => Math.Log(1 + Math.Exp(-margin))), margins.Average(), margins.Average(margin => margin > 0 ? 1.0 : 0),
];
Expect("it learned something", [true], [known[0] < Math.Log(2) - 0.01]);
var chosen = data.ChosenOnly();
double crossEntropy = -ofPolicy.Where((_, index) => index % 3 != 1).SelectMany(values => values).Average();
Near("metrics", known, Metrics());
Near("cross-entropy", [crossEntropy], [Evaluator.Evaluate(policy, chosen)["loss"]]);
policy.MergeAdapter();
Near("metrics of the merged", known, Metrics());
Near("cross-entropy of the merged", [crossEntropy], [Evaluator.Evaluate(policy, chosen)["loss"]]);
Near("log-probabilities of the merged", ofPolicy.SelectMany(values => values), Measured(policy).SelectMany(values => values));
policy.UnmergeAdapter();

// A checkpoint's weights in a model that was made as at the run's start; another model refuses them.
using (var fresh = CausalLanguageModel.Load("base"))
{
    fresh.AddLora(new LoraOptions { Rank = 2, Alpha = 8 });
    Checkpoints.LoadInto(fresh, Path.Combine("checkpoints", "step-000003"));
    var before = Measured(fresh).SelectMany(values => values).ToArray();
    Checkpoints.LoadInto(fresh, Checkpoints.Latest("checkpoints")!);
    Near("the last checkpoint", ofPolicy.SelectMany(values => values), Measured(fresh).SelectMany(values => values));
    Expect("the one before", [true], [before.Zip(ofPolicy.SelectMany(values => values)).Any(one => Math.Abs(one.First - one.Second) > 0.01)]);
}
using (var other = CausalLanguageModel.Load("base"))
{
    var refused = "";
    try
    {
        Checkpoints.LoadInto(other, Checkpoints.Latest("checkpoints")!);
    }
    catch (InvalidInputException e)
    {
        refused = e.Message;
    }
    Expect("a model without the adapter", [true], [refused.Contains(Checkpoints.Latest("checkpoints")!)]);
}

// Models without a cache are sampled too: one of ids laid end to end, and a module that looks at all that came before.
foreach (var model in (CausalLanguageModel[])[new Bigrams(), new LogitsModel(new Averages())])
{
    using (model)
    {
        int[][] prompts = [[3], [5, 6, 7]];
        var greedy = Sampler.Sample(model, prompts, new SamplingOptions { MaxNewTokens = 5, Temperature = 0 });
        foreach (var (index, sample) in greedy.Index())
        {
            var tokens = new List<int>();
            while (tokens.Count < 5)
                tokens.Add(Enumerable.Range(0, 20).MaxBy(token => Alone(model, prompts[index], [.. tokens, token])[^1]));
            Expect($"{model.GetName()}, likeliest", tokens, sample.Tokens);
            Near($"{model.GetName()}, log-probabilities", Alone(model, prompts[index], tokens), sample.LogProbs.Select(value => (double)value));
        }
        var drawn = Sampler.Sample(model, prompts, new SamplingOptions { MaxNewTokens = 8, SamplesPerPrompt = 3, EndOfTextIds = [0], Seed = 4 });
        Expect($"{model.GetName()}, samples", [(0, 0), (0, 1), (0, 2), (1, 0), (1, 1), (1, 2)], drawn.Select(one => (one.PromptIndex, one.SampleIndex)));
        Near($"{model.GetName()}, drawn", drawn.SelectMany(one => Alone(model, prompts[one.PromptIndex], one.Tokens)),
            drawn.SelectMany(one => one.LogProbs).Select(value => (double)value));
        Expect($"{model.GetName()}, ends", drawn.Select(one => one.Tokens.ToList().IndexOf(0) switch { -1 => 8, var end => end + 1 }), drawn.Select(one => one.Tokens.Count));
    }
}

if (failures == 0)
    Console.WriteLine("log-probabilities, rewards, metrics, checkpoints, samples: as by hand");
return failures == 0 ? 0 : 1;

// One completion behind its prompt, by the model's logits and nothing else.
static double[] Alone(CausalLanguageModel model, IReadOnlyList<int> prompt, IReadOnlyList<int> completion)
{
    using var scope = NewDisposeScope();
    using var noGrad = no_grad();
    long[] ids = [.. prompt.Concat(completion).Select(id => (long)id)];
    var hidden = model.call(tensor(ids), new SequenceLayout([new ExampleLengths(ids.Length, [])]));
    var logits = (model.Head.Weight is null ? hidden : model.Head.Logits(hidden)).to(float64);
    var logProbs = logits.log_softmax(1).narrow(0, prompt.Count - 1, completion.Count);
    return logProbs.gather(1, tensor(ids[prompt.Count..]).unsqueeze(1)).squeeze(1).data<double>().ToArray();
}

/// <summary>The next token by the last one.</summary>
internal sealed class Bigrams : CausalLanguageModel
{
    private readonly Embedding table;
    private readonly Linear head;

    public Bigrams()
        : base(nameof(Bigrams))
    {
        torch.random.manual_seed(5);
        (table, head) = (nn.Embedding(20, 8), nn.Linear(8, 20));
        RegisterComponents();
    }

    public override OutputHead Head => new(head.weight, head.bias);

    public override Tensor forward(Tensor ids, SequenceLayout layout) => table.call(ids);
}

/// <summary>Ids [B, T] to logits [B, T, V], by the average of all tokens up to there.</summary>
internal sealed class Averages : nn.Module<Tensor, Tensor>
{
    private readonly Embedding table;
    private readonly Linear head;

    public Averages()
        : base(nameof(Averages))
    {
        torch.random.manual_seed(6);
        (table, head) = (nn.Embedding(20, 8), nn.Linear(8, 20));
        RegisterComponents();
    }

    public override Tensor forward(Tensor ids) =>
        head.call(table.call(ids).cumsum(1) / ones_like(ids, dtype: float32).cumsum(1).unsqueeze(2)).Times(3);
}
