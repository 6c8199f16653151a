using static TorchSharp.torch;

namespace Dpo.Tests;

public class EvaluatorTests
{
    /// <summary>A policy that has moved away from its reference.</summary>
    private static PolicyReferencePair Pair() => new(new Gpt2(TrainerTests.Shape, seed: 6), new Gpt2(TrainerTests.Shape, seed: 5));

    [Theory]
    [InlineData("sigmoid", 4096)]
    [InlineData("ipo", 20)]
    [InlineData("aot", 4096)]
    public void It_measures_what_a_trainer_does(string name, int maxTokens)
    {
        var data = LossFamilyTests.Data(30, labelled: false);
        var loss = LossFamilyTests.Named(name).Create();
        using var pair = Pair();
        using var trainer = new DpoTrainer(pair, loss, TrainerTests.Options with { BatchSize = 64 });
        var expected = trainer.Evaluate(data);
        var actual = Evaluator.Evaluate(pair, data, loss, maxTokens);
        Assert.Equal(expected.Keys.Order(), actual.Keys.Select(key => "eval_" + key).Order());
        foreach (var (key, value) in actual)
            Numbers.AssertClose(expected["eval_" + key], value, 1e-5, key);
    }

    [Fact]
    public void A_model_by_itself_is_measured_by_cross_entropy_or_a_loss_without_reference()
    {
        var data = TrainerTests.Data(12);
        using var model = new Gpt2(TrainerTests.Shape, seed: 6);
        var chosen = data.ChosenOnly();
        var logProbs = Evaluator.LogProbs(model, chosen).SelectMany(example => example).SelectMany(completion => completion).ToArray();
        Numbers.AssertClose(-logProbs.Average(value => (double)value), Evaluator.Evaluate(model, chosen)["loss"], 1e-6);

        using var trainer = new DpoTrainer(model, new SimPoLoss());
        Numbers.AssertClose(trainer.Evaluate(data)["eval_loss"], Evaluator.Evaluate(model, data, new SimPoLoss())["loss"], 1e-6);
        Assert.StartsWith(
            "DpoLoss compares the policy with a reference;",
            Assert.Throws<ArgumentException>(() => Evaluator.Evaluate(model, data, new DpoLoss())).Message, StringComparison.Ordinal);
        Assert.Contains("holds completions that are not to be imitated", Assert.Throws<InvalidInputException>(() => Evaluator.Evaluate(model, data)).Message);
    }

    /// <summary>Each pair's numbers against the log-probabilities of its completions, computed one example at a time.</summary>
    [Theory]
    [InlineData(4096)]
    [InlineData(7)]
    public void Rewards_are_told_pair_by_pair(int maxTokens)
    {
        const double beta = 0.3;
        var data = TrainerTests.Data(20);
        using var pair = Pair();
        var rewards = Evaluator.Rewards(pair, data, new DpoLoss(beta), maxTokens).ToArray();
        var metrics = Evaluator.Evaluate(pair, data, new DpoLoss(beta));
        Assert.Equal(data.Counts.Pairs, rewards.Length);
        Assert.Equal(
            data.Examples.SelectMany(example => example.Pairs.Select(one => (example.Source, one.Chosen, one.Rejected))),
            rewards.Select(one => (one.Source, one.Chosen, one.Rejected)));
        Numbers.AssertClose(metrics["rewards/margins"], rewards.Average(one => one.Margin), 1e-5);
        Numbers.AssertClose(metrics["rewards/accuracies"], rewards.Average(one => one.Margin > 0 ? 1.0 : 0), 1e-9);

        var place = 0;
        foreach (var example in data.Examples)
        {
            double[] Sums(CausalLanguageModel model) =>
                [.. Evaluator.LogProbs(model, new PreferenceData([example])).Single().Select(completion => completion.Sum(value => (double)value))];
            var (policy, reference) = (Sums(pair.Policy), Sums(pair.ReferenceModel));
            foreach (var one in example.Pairs)
            {
                var actual = rewards[place++];
                Numbers.AssertClose(policy[one.Chosen], actual.ChosenLogProb, 1e-5);
                Numbers.AssertClose(policy[one.Rejected], actual.RejectedLogProb, 1e-5);
                Numbers.AssertClose(reference[one.Chosen], actual.ChosenReferenceLogProb!.Value, 1e-5);
                Numbers.AssertClose(reference[one.Rejected], actual.RejectedReferenceLogProb!.Value, 1e-5);
                Numbers.AssertClose(beta * (policy[one.Chosen] - reference[one.Chosen]), actual.ChosenReward, 1e-5);
                Numbers.AssertClose(beta * (policy[one.Rejected] - reference[one.Rejected]), actual.RejectedReward, 1e-5);
                Assert.Equal(example.Completions[one.Chosen].Count, actual.ChosenTokens);
                Assert.Equal(example.Completions[one.Rejected].Count, actual.RejectedTokens);
            }
        }
    }

    /// <summary>A loss that does without a reference needs no pair of models.</summary>
    [Fact]
    public void A_model_by_itself_has_rewards_too()
    {
        var data = TrainerTests.Data(10);
        using var pair = Pair();
        var own = Evaluator.Rewards(pair.Policy, data, new SimPoLoss(beta: 2), maxTokens: 20).ToArray();
        Assert.Equal(data.Counts.Pairs, own.Length);
        foreach (var (one, other) in own.Zip(Evaluator.Rewards(pair, data)))
        {
            Assert.Equal((other.Source, other.Chosen, other.Rejected, other.ChosenTokens), (one.Source, one.Chosen, one.Rejected, one.ChosenTokens));
            Numbers.AssertClose(other.ChosenLogProb, one.ChosenLogProb, 1e-5);
            Numbers.AssertClose(2 * other.RejectedLogProb / other.RejectedTokens, one.RejectedReward, 1e-5);
            Assert.Null(one.ChosenReferenceLogProb);
        }
        Assert.StartsWith(
            "DpoLoss compares the policy with a reference;",
            Assert.Throws<ArgumentException>(() => Evaluator.Rewards(pair.Policy, data, new DpoLoss())).Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Log_probabilities_are_those_of_any_way_to_cut_the_data()
    {
        var data = TrainerTests.Data(20);
        using var model = new Gpt2(TrainerTests.Shape, seed: 6);
        double[] Flat(int maxTokens) =>
            [.. Evaluator.LogProbs(model, data, maxTokens).SelectMany(example => example).SelectMany(values => values).Select(value => (double)value)];
        var expected = CompletionLogProbs.Compute(model, new PreferenceBatch(data.Examples).To(CPU)).PerToken.ToDoubles();
        Numbers.AssertClose(expected, Flat(4096), 1e-5);
        Numbers.AssertClose(expected, Flat(1), 1e-5);
        Assert.Equal(
            data.Examples.Select(example => string.Join(' ', example.Completions.Select(completion => completion.Count))),
            Evaluator.LogProbs(model, data).Select(example => string.Join(' ', example.Select(completion => completion.Count))));
    }

    [Fact]
    public void A_merged_adapter_is_measured_as_it_computes_and_nothing_changes()
    {
        var data = TrainerTests.Data(8);
        using var model = new Gpt2(TrainerTests.Shape, seed: 6);
        model.AddLora(new LoraOptions { Rank = 2 });
        using (no_grad())
        {
            foreach (var (name, parameter) in model.named_parameters().Where(named => named.name.Contains("lora_B", StringComparison.Ordinal)))
                parameter.fill_(0.05f);
        }
        var before = Evaluator.Evaluate(model, data, new SimPoLoss());
        model.MergeAdapter();
        var merged = Evaluator.Evaluate(model, data, new SimPoLoss());
        foreach (var (name, value) in before)
            Numbers.AssertClose(value, merged[name], 1e-5, name);
        using var plain = new Gpt2(TrainerTests.Shape, seed: 6);
        Assert.True(Math.Abs(Evaluator.Evaluate(plain, data, new SimPoLoss())["loss"] - merged["loss"]) > 1e-4, "The adapter changes nothing.");

        Evaluator.Evaluate(model, data, new SimPoLoss());
        var tensors = Tensor.TotalCount;
        Evaluator.Evaluate(model, data, new SimPoLoss());
        Assert.Equal(8, Evaluator.LogProbs(model, data).Count());
        Assert.Equal(tensors, Tensor.TotalCount);
        Assert.All(model.parameters(), parameter => Assert.Null(parameter.grad));
    }

    /// <summary>A module that drops whatever it is given, in a model with a part that is not trained.</summary>
    [Fact]
    public void A_model_is_measured_and_sampled_in_evaluation_mode_and_gets_its_own_back()
    {
        var data = TrainerTests.Data(8);
        var (drops, rests) = (nn.Dropout(0.9), nn.Dropout(0.9));
        using var model = new LogitsModel(nn.Sequential(
            ("tokens", nn.Embedding(40, 16)), ("drops", drops), ("rests", rests), ("head", nn.Linear(16, 40))));
        model.train();
        rests.eval();
        double Loss() => Evaluator.Evaluate(model, data, new SimPoLoss())["loss"];
        Assert.Equal(Loss(), Loss());
        double[] LogProbs() =>
            [.. Evaluator.LogProbs(model, data).SelectMany(example => example).SelectMany(values => values).Select(value => (double)value)];
        Assert.Equal(LogProbs(), LogProbs());
        using (var trainer = new SftTrainer(model))
            Assert.Equal(trainer.Evaluate(data.ChosenOnly()), trainer.Evaluate(data.ChosenOnly()));
        int[] Sampled() => [.. Sampler.Sample(model, [[1, 2]], new() { MaxNewTokens = 20, Temperature = 0 }).Single().Tokens];
        Assert.Equal(Sampled(), Sampled());
        Assert.Equal((true, true, false), (model.training, drops.training, rests.training));
    }

    /// <summary>When it is asked for, and not when the first number is.</summary>
    [Fact]
    public void Data_that_cannot_be_measured_are_refused_at_once()
    {
        PreferenceData bad = new([new([1, 2], [[3, 0], [4, 40]], [new(0, 1)]) { Source = "bad.jsonl:7" }]);
        using var pair = Pair();
        const string message = "The example bad.jsonl:7 holds the token id 40, and the model's vocabulary has the ids 0 to 39; ";
        Assert.StartsWith(message, Assert.Throws<InvalidInputException>(() => Evaluator.Rewards(pair, bad)).Message, StringComparison.Ordinal);
        Assert.StartsWith(message, Assert.Throws<InvalidInputException>(() => Evaluator.LogProbs(pair.Policy, bad)).Message, StringComparison.Ordinal);
        Assert.StartsWith(message, Assert.Throws<InvalidInputException>(() => Evaluator.Evaluate(pair, bad)).Message, StringComparison.Ordinal);
        pair.ReleaseReference();
        Assert.StartsWith(
            "The reference was released, but the example row 0 carries no log-probabilities of it;",
            Assert.Throws<InvalidOperationException>(() => Evaluator.Rewards(pair, TrainerTests.Data(2))).Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Rewards_are_a_table()
    {
        using var folder = new TemporaryFolder();
        var path = folder.File("rewards.csv");
        PairRewards one = new()
        {
            Source = "a \"b\",c:1",
            Chosen = 1,
            Rejected = 0,
            ChosenReward = 0.5,
            RejectedReward = -0.25,
            ChosenLogProb = -1.5,
            RejectedLogProb = -2,
            ChosenReferenceLogProb = -3,
            RejectedReferenceLogProb = -4e-9,
            ChosenTokens = 3,
            RejectedTokens = 2,
        };
        RewardsTable.Write(path, [one, one with { Source = null, ChosenReferenceLogProb = null, RejectedReferenceLogProb = null }]);
        Assert.Equal(
            "source,chosen,rejected,reward_chosen,reward_rejected,margin,logp_chosen,logp_rejected,reference_logp_chosen,reference_logp_rejected," +
            "tokens_chosen,tokens_rejected\r\n" +
            "\"a \"\"b\"\",c:1\",1,0,0.5,-0.25,0.75,-1.5,-2,-3,-4e-09,3,2\r\n,1,0,0.5,-0.25,0.75,-1.5,-2,,,3,2\r\n",
            File.ReadAllText(path));
    }
}
