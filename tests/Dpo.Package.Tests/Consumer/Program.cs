// What a researcher has before the loop: a model folder and a file of preferences.
using Dpo.Files;
using Dpo.Weights;
using static TorchSharp.torch;

var folder = Path.Combine(AppContext.BaseDirectory, "model");
var file = Path.Combine(AppContext.BaseDirectory, "train.jsonl");
string[] lines =
[
    """{"prompt": "The film was", "chosen": " a delight.", "rejected": " a bore."}""",
    """{"prompt": "The plot was", "chosen": " a delight from the start.", "rejected": " a bore from the start."}""",
];
File.WriteAllLines(file, Enumerable.Repeat(lines, 4).SelectMany(line => line));
TextTokenizer.Train(lines, vocabularySize: 300).Save(folder);
new Gpt2(new Gpt2Config { VocabularySize = 300, MaxPositions = 64, HiddenSize = 32, LayerCount = 2, HeadCount = 2 }).Save(folder);

// The loop of the README, word for word but for a small model's batch size and learning rate.
var report = new DataReport();
var tokenizer = new ExampleTokenizer(TextTokenizer.Load(folder));
var data = new PreferenceData(tokenizer.Tokenize(PreferenceFile.Read(file, report), report));
using var policy = CausalLanguageModel.Load(folder);
using var pair = new PolicyReferencePair(policy);
using var optimizer = new FusedAdamW(policy.parameters(), learningRate: 1e-3);
using var dpo = new DpoLoss(beta: 0.1);
foreach (var batch in data.Batches(size: 2, seed: 0))
{
    optimizer.zero_grad();
    foreach (var part in batch.Split(maxTokens: 4096))
    {
        using var scope = NewDisposeScope();
        var tokens = part.To(policy.Device);
        var (logProbs, reference) = pair.LogProbs(tokens);
        var (losses, rewards) = dpo.call(logProbs.Sums, reference.Sums, tokens.Chosen, tokens.Rejected);
        losses.sum().DividedBy(batch.PairCount).backward();
    }
    BackwardFailure.Rethrow(); // an exception cannot leave a backward pass; gradients would be incomplete
    optimizer.step();
}
policy.Save("output");
TextTokenizer.Load(folder).Save("output");

using var trainer = new DpoTrainer(pair, dpo);
var metrics = trainer.Evaluate(data);
Console.WriteLine($"accuracy {metrics["eval_rewards/accuracies"]:0.00}");
Console.WriteLine(metrics["eval_loss"] < Math.Log(2) - 0.01 ? "The loss fell." : $"The loss is {metrics["eval_loss"]}.");
