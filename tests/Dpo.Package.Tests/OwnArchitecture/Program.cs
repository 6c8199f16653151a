// What Dpo does with its own architectures, with one of a researcher's own.
using System.Text.Json.Nodes;
using TorchSharp.Modules;
using static TorchSharp.torch;

ModelTypes.Register("mixture", config => new Mixture(config));
var fields = JsonNode.Parse("""
    {"model_type": "mixture", "vocab_size": 20, "hidden_size": 16, "num_attention_heads": 4, "num_key_value_heads": 2,
     "expert_size": 24, "num_hidden_layers": 3, "max_position_embeddings": 32, "sliding_window": 3, "rope_theta": 500, "tie_word_embeddings": false}
    """)!.AsObject();
var random = new Random(0);
int[] Ids(int count) => [.. Enumerable.Range(0, count).Select(_ => random.Next(1, 20))];
var data = new PreferenceData(Enumerable.Range(0, 8).Select(_ => new TokenizedExample(
    Ids(random.Next(1, 6)), [[.. Ids(2), 0], [.. Ids(5), 0], [.. Ids(1), 0]],
    [new PreferencePair(0, 1), new PreferencePair(2, 1)])));

// One completion at a time, behind its prompt and padded to the right, is what shared prompts must equal.
foreach (var recomputed in (bool[])[false, true])
{
    using var scope = NewDisposeScope();
    using var model = New(seed: 1);
    model.CheckpointActivations = recomputed;
    var batch = data.Batches(size: 8).First();
    var shared = CompletionLogProbs.Compute(model, batch.To(CPU)).PerToken;
    var alone = batch.Examples.SelectMany(
        example => example.Completions.Select(completion => Alone(model, example.Prompt, completion)));
    Console.WriteLine($"shared prompts: {Difference(shared, cat([.. alone]))}");
}

Tensor Alone(TransformerModel model, IReadOnlyList<int> prompt, IReadOnlyList<int> completion)
{
    long[] ids = [.. prompt.Concat(completion).Select(id => (long)id)];
    long[] padded = [.. ids, .. Enumerable.Repeat(0L, 16 - ids.Length)];
    var hidden = model.call(tensor(padded), new SequenceLayout([new ExampleLengths(padded.Length, [])]));
    var logProbs = model.Head.Logits(hidden).log_softmax(1);
    var targets = tensor(ids[prompt.Count..]).unsqueeze(1);
    return logProbs.narrow(0, prompt.Count - 1, completion.Count).gather(1, targets).squeeze(1);
}

// A run that is stopped goes on from its checkpoint as if it had not been; the loss falls.
var (uninterrupted, losses) = Run("whole", steps: 6, resumeFrom: null);
Console.WriteLine($"training: {(losses[^1] < losses[0] - 0.1 ? "the loss fell" : string.Join(", ", losses))}");
Run("stopped", steps: 3, resumeFrom: null);
var resumed = Run("stopped", steps: 6, Checkpoints.Latest("stopped")).Weights;
Console.WriteLine($"checkpoints: {(resumed.SequenceEqual(uninterrupted) ? "goes on as it was" : "goes on otherwise")}");

(float[] Weights, List<double> Losses) Run(string folder, int steps, string? resumeFrom)
{
    var told = new OwnProgress();
    using var pair = new PolicyReferencePair(New(seed: 1));
    using var trainer = new DpoTrainer(pair, new DpoLoss(beta: 1), new TrainingOptions
    {
        LearningRate = 0.01, Schedule = (_, _) => 1, BatchSize = 8, MicroBatchTokens = 40, Steps = steps, ResumeFrom = resumeFrom,
        Checkpoints = new CheckpointOptions { Folder = folder, Every = 3 },
    });
    ((TransformerModel)pair.Policy).CheckpointActivations = true;
    trainer.Train(data, progress: told);
    return ([.. pair.Policy.parameters().SelectMany(Values)], told.Losses);
}

// What is sampled with a cache has the log-probabilities that the whole sequence has; a folder holds the model as it is, adapter
// or not.
using (NewDisposeScope())
{
    using var model = New(seed: 1);
    int[][] prompts = [Ids(1), Ids(5), Ids(9)];
    var options = new SamplingOptions { MaxNewTokens = 6, SamplesPerPrompt = 3, EndOfTextIds = [0] };
    var samples = Sampler.Sample(model, prompts, options);
    var sampled = cat([.. samples.Select(sample => tensor(sample.LogProbs.ToArray()))]);
    var whole = samples.Select(sample => Alone(model, prompts[sample.PromptIndex], sample.Tokens));
    Console.WriteLine($"cache: {Difference(sampled, cat([.. whole]))}");

    model.Save("model");
    using var loaded = CausalLanguageModel.Load("model");
    Console.WriteLine($"folder: {loaded.GetType().Name}, {Difference(LogProbs(model), LogProbs(loaded))}");

    loaded.AddLora(new LoraOptions
    {
        Rank = 2, Alpha = 4, TargetModules = ["q_proj", "router", "down_proj", "lm_head"], ModulesToSave = ["norm"],
    });
    var before = Difference(LogProbs(model), LogProbs(loaded));
    using (var pair = new PolicyReferencePair(loaded))
    using (var trainer = new DpoTrainer(
        pair, new DpoLoss(), new TrainingOptions { LearningRate = 1e-3, Schedule = (_, _) => 1, BatchSize = 8, Steps = 3 }))
    {
        trainer.Train(data);
        loaded.SaveAdapter("adapter");
        loaded.Save("merged");
        using var adapted = CausalLanguageModel.Load("model");
        adapted.LoadAdapter("adapter");
        using var merged = CausalLanguageModel.Load("merged");
        Console.WriteLine(
            $"LoRA: {before} before, {Difference(LogProbs(model), LogProbs(loaded))} after, " +
            $"{Difference(LogProbs(loaded), LogProbs(adapted))} and {Difference(LogProbs(loaded), LogProbs(merged))} in files");
    }

    using var half = CausalLanguageModel.Load("model", dtype: ScalarType.BFloat16);
    Console.WriteLine($"bf16: {half.parameters().Count(parameter => parameter.dtype == ScalarType.BFloat16)} matrices");
}

// Files are read strictly.
fields["num_attention_heads"] = 3;
Directory.CreateDirectory("wrong");
File.WriteAllText("wrong/config.json", fields.ToJsonString());
try
{
    CausalLanguageModel.Load("wrong");
}
catch (InvalidInputException e)
{
    Console.WriteLine(e.Message);
}

Mixture New(int seed) => new(new ModelConfig(fields), seed);

Tensor LogProbs(TransformerModel model) => CompletionLogProbs.Compute(model, data.Batches(size: 8).First().To(CPU)).PerToken;

static string Difference(Tensor one, Tensor other) => (one - other).abs().max().item<float>() <= 1e-4 ? "equal" : "not equal";

static float[] Values(Parameter parameter) => parameter.detach().flatten().data<float>().ToArray();

internal sealed class OwnProgress : IProgress<TrainingMetrics>
{
    public List<double> Losses { get; } = [];

    public void Report(TrainingMetrics value) => Losses.Add(value["loss"]);
}
