using static TorchSharp.torch;

namespace Dpo.Tests;

/// <summary>Averages over tokens against whole logits; the numbers of TRL are in <see cref="TrajectoryTests"/>.</summary>
public class DetailedMetricsTests
{
    private static readonly TrainingOptions detailed = TrainerTests.Options with { DetailedMetrics = true, Steps = 1 };

    /// <summary>Entropy, mean logit and hit of every token of a completion, from the logits of its own plain sequence.</summary>
    private static (double Entropy, double MeanLogit, double Hit)[] Tokens(CausalLanguageModel model, TrainingExample example, int completion)
    {
        using var scope = NewDisposeScope();
        using var noGrad = no_grad();
        var ids = example.Prompt.Concat(example.Completions[completion]).Select(id => (long)id).ToArray();
        var layout = new SequenceLayout([new(ids.Length, [])]);
        var logits = model.Head.Logits(model.call(tensor(ids), layout)).to(float64);
        return [.. Enumerable.Range(example.Prompt.Count, ids.Length - example.Prompt.Count).Select(place =>
        {
            var row = logits[place - 1];
            var logProbs = row.log_softmax(0);
            return (-(logProbs.exp() * logProbs).sum().item<double>(), row.mean().item<double>(), row.argmax(0).item<long>() == ids[place] ? 1.0 : 0);
        })];
    }

    [Theory]
    [InlineData(int.MaxValue, "sigmoid")]
    [InlineData(1, "sigmoid")]
    [InlineData(1, "aot")]
    public void Pairs_have_means_over_tokens_however_the_batch_is_cut(int microBatchSize, string loss)
    {
        var data = TrainerTests.Data(6);
        using var pair = new PolicyReferencePair(new Gpt2(TrainerTests.Shape, seed: 5));
        foreach (var parameter in pair.Policy.parameters().Where(parameter => parameter.dim() > 1))
            using (no_grad())
                parameter.mul_(6); // so that tokens differ in what is measured
        var chosen = data.Examples.SelectMany(example => example.Pairs.SelectMany(known => Tokens(pair.Policy, example, known.Chosen))).ToArray();
        var rejected = data.Examples.SelectMany(example => example.Pairs.SelectMany(known => Tokens(pair.Policy, example, known.Rejected))).ToArray();
        var all = data.Examples.SelectMany(example => Enumerable.Range(0, example.Completions.Count).SelectMany(index => Tokens(pair.Policy, example, index))).ToArray();
        var steps = new List<TrainingMetrics>();
        using var trainer = new DpoTrainer(
            pair, new LossOptions { Names = [loss] }.Create(), detailed with { BatchSize = 100, MicroBatchSize = microBatchSize });
        trainer.Train(data, progress: new Recorder(steps));

        Numbers.AssertClose(chosen.Average(token => token.MeanLogit), steps[0]["logits/chosen"], 1e-5, "chosen");
        Numbers.AssertClose(rejected.Average(token => token.MeanLogit), steps[0]["logits/rejected"], 1e-5, "rejected");
        Numbers.AssertClose(chosen.Average(token => token.Hit), steps[0]["mean_token_accuracy"], 1e-6, "accuracy");
        Numbers.AssertClose(all.Average(token => token.Entropy), steps[0]["entropy"], 1e-5, "entropy");
    }

    [Fact]
    public void Fine_tuning_has_accuracy_and_entropy_and_a_module_with_logits_the_same()
    {
        var data = TrainerTests.Data(4).ChosenOnly();
        using var model = new Gpt2(TrainerTests.Shape, seed: 5);
        using var trainer = new SftTrainer(model, detailed);
        var measured = trainer.Evaluate(data);
        var all = data.Examples.SelectMany(example => Enumerable.Range(0, example.Completions.Count).SelectMany(index => Tokens(model, example, index))).ToArray();
        Numbers.AssertClose(all.Average(token => token.Entropy), measured["eval_entropy"], 1e-5, "entropy");
        Numbers.AssertClose(all.Average(token => token.Hit), measured["eval_mean_token_accuracy"], 1e-6, "accuracy");
        Assert.Equal(["eval_loss", "eval_mean_token_accuracy", "eval_entropy"], measured.Keys);
    }

    [Fact]
    public void Data_with_labels_alone_have_the_entropy_and_without_the_option_there_is_none()
    {
        var labelled = new PreferenceData([new TrainingExample([1], [[2, 0], [3, 0], [4, 0]], []) { Labels = [true, false], MismatchedCount = 1 }]);
        using var pair = new PolicyReferencePair(new Gpt2(TrainerTests.Shape, seed: 5));
        var loss = new KtoLoss();
        using var trainer = new DpoTrainer(pair, loss, detailed);
        var names = trainer.Evaluate(labelled).Keys;
        Assert.Contains("eval_entropy", names);
        Assert.DoesNotContain("eval_logits/chosen", names);
        Assert.DoesNotContain("eval_mean_token_accuracy", names);
        using var plain = new DpoTrainer(pair, loss, TrainerTests.Options);
        Assert.DoesNotContain("eval_entropy", plain.Evaluate(labelled).Keys);
    }
}
