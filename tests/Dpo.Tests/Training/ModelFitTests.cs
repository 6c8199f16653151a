using static TorchSharp.torch;

namespace Dpo.Tests;

/// <summary>Data and modules that do not fit are refused by name, before a run begins.</summary>
public class ModelFitTests
{
    private static readonly TrainingExample good = new([1, 2], [[3, 0], [4, 0]], [new(0, 1)]) { Source = "good.jsonl:1" };

    private sealed class Answering(Func<Tensor, Tensor> answer) : nn.Module<Tensor, Tensor>(nameof(Answering))
    {
        public override Tensor forward(Tensor input) => answer(input);
    }

    public static TheoryData<string, int> Outside => new() { { "prompt", 40 }, { "completion", 50256 } };

    [Theory]
    [MemberData(nameof(Outside))]
    public void An_id_outside_the_vocabulary_names_its_example(string where, int id)
    {
        TrainingExample bad = where == "prompt"
            ? new([1, id], [[3, 0], [4, 0]], [new(0, 1)]) { Source = "bad.jsonl:7" }
            : new([1, 2], [[3, 0], [4, id]], [new(0, 1)]) { Source = "bad.jsonl:7" };
        var message = $"The example bad.jsonl:7 holds the token id {id}, and the model's vocabulary has the ids 0 to 39; tokenize the data with the model's own tokenizer.";
        var (data, fine) = (new PreferenceData([good, bad]), new PreferenceData([good]));
        foreach (var model in (CausalLanguageModel[])[new Gpt2(TrainerTests.Shape, seed: 5), new LogitsModel(new AwkwardModule())])
        {
            using var pair = new PolicyReferencePair(model);
            using var trainer = new DpoTrainer(pair, options: TrainerTests.Options);
            using var fineTuning = new SftTrainer(model, TrainerTests.Options);
            Assert.Equal(message, Assert.Throws<InvalidInputException>(() => trainer.Train(data)).Message);
            Assert.Equal(message, Assert.Throws<InvalidInputException>(() => trainer.Train(fine, data)).Message);
            Assert.Equal(message, Assert.Throws<InvalidInputException>(() => trainer.Evaluate(data)).Message);
            Assert.Equal(message, Assert.Throws<InvalidInputException>(() => ReferenceLogProbs.Compute(pair, data)).Message);
            if (where == "prompt")
                Assert.Equal(message, Assert.Throws<InvalidInputException>(() => fineTuning.Train(data.ChosenOnly())).Message);
        }
    }

    /// <summary>From a completion's last token nothing is predicted, so that it takes no position.</summary>
    [Fact]
    public void An_example_may_fill_the_models_positions_to_the_last()
    {
        using var scope = NewDisposeScope();
        using var model = new Gpt2(TrainerTests.Shape, seed: 5);
        static TrainingExample Of(int longest) =>
            new([.. Enumerable.Repeat(1, 20)], [[3, 0], [.. Enumerable.Repeat(4, longest)]], [new(0, 1)]) { Source = "line 7" };
        ModelFit.Require(model, new PreferenceData([Of(longest: 5)]));
        Assert.Equal([2, 5], CompletionLogProbs.Compute(model, new PreferenceBatch([Of(longest: 5)]).To(CPU)).Counts.ToDoubles());
        Assert.Equal(
            "The example line 7 is longer than the model's 24 positions; shorten it with a smaller maximum length.",
            Assert.Throws<InvalidInputException>(() => ModelFit.Require(model, new PreferenceData([Of(longest: 6)]))).Message);
    }

    [Fact]
    public void Asking_a_module_for_its_vocabulary_draws_no_random_number()
    {
        using var model = new LogitsModel(nn.Sequential(("tokens", nn.Embedding(40, 8)), ("drop", nn.Dropout(0.5)), ("head", nn.Linear(8, 40))));
        model.train();
        using var scope = NewDisposeScope();
        manual_seed(4);
        var expected = rand(3).ToDoubles();
        manual_seed(4);
        ModelFit.Require(model, new PreferenceData([good]));
        Assert.Equal(expected, rand(3).ToDoubles());
        Assert.True(model.training);
    }

    public static TheoryData<string, string> Answers => new()
    {
        { "two dimensions", "Float32 [2, 3]" }, { "transposed", "Float32 [3, 2, 40]" }, { "last only", "Float32 [2, 1, 40]" }, { "ids", "Int64 [2, 3, 40]" },
        { "nothing", "Float32 [2, 3, 0]" },
    };

    [Theory]
    [MemberData(nameof(Answers))]
    public void A_module_that_answers_with_another_shape_is_told_so(string kind, string shape)
    {
        using var scope = NewDisposeScope();
        using var model = new LogitsModel(new Answering(ids => kind switch
        {
            "two dimensions" => zeros([ids.shape[0], ids.shape[1]], float32),
            "transposed" => zeros([ids.shape[1], ids.shape[0], 40], float32),
            "last only" => zeros([ids.shape[0], 1, 40], float32),
            "ids" => zeros([ids.shape[0], ids.shape[1], 40], int64),
            _ => zeros([ids.shape[0], ids.shape[1], 0], float32),
        }));
        var message = Assert.Throws<InvalidOperationException>(() => CompletionLogProbs.Compute(model, new PreferenceBatch([good]).To(CPU))).Message;
        Assert.Equal(
            $"Answering was given ids [2, 3] and answered with {shape}; what a LogitsModel wraps answers with logits [2, 3, V], a number for every entry of the vocabulary.",
            message);
    }

    [Theory]
    [InlineData(0, 2, "The example has the pair (0, 2), but has 2 completions, whose indices are 0 to 1.")]
    [InlineData(-1, 0, "The example has the pair (-1, 0), but has 2 completions, whose indices are 0 to 1.")]
    public void A_pair_of_a_completion_that_is_not_there_is_refused_when_it_is_made(int chosen, int rejected, string message)
    {
        PreferencePair[] pairs = [new(0, 1), new(chosen, rejected)];
        Assert.StartsWith(message, Assert.Throws<ArgumentException>(() => new PreferenceExample("p", ["a", "b"], pairs)).Message, StringComparison.Ordinal);
        Assert.StartsWith(message, Assert.Throws<ArgumentException>(() => new TrainingExample([1], [[2], [3]], pairs)).Message, StringComparison.Ordinal);
        Assert.StartsWith(
            "The example has the pair (0, 0), but has no completion.", Assert.Throws<ArgumentException>(() => new PreferenceExample("p", [], [default])).Message,
            StringComparison.Ordinal);
    }

    [Theory]
    [InlineData(2, "The example ranks the completion 2, but has 2 completions, whose indices are 0 to 1.")]
    [InlineData(-3, "The example ranks the completion -3, but has 2 completions, whose indices are 0 to 1.")]
    [InlineData(1, "The example ranks the completion 1 twice.")]
    public void So_is_a_ranking(int second, string message)
    {
        Assert.StartsWith(
            message, Assert.Throws<ArgumentException>(() => new PreferenceExample("p", "a", "b") { Ranking = [1, second] }).Message, StringComparison.Ordinal);
    }

    public static TheoryData<string, string> Contradictions => new()
    {
        { "negative", "it has the id -1" },
        { "empty", "a completion has no token" },
        { "labels", "it has 1 labels for 2 completions" },
        { "fewer", "completions 0 and 1 of 1, counted from 0, are no pair" },
        { "ranking", "its ranking does not hold each of its 2 completions once" },
    };

    /// <summary>What several settings, or copies with others, make wrong is found when data are made of it.</summary>
    [Theory]
    [MemberData(nameof(Contradictions))]
    public void An_example_that_makes_no_sense_is_named(string kind, string fault)
    {
        var example = kind switch
        {
            "negative" => good with { Prompt = [3, -1] },
            "empty" => good with { Completions = [[1], []] },
            "labels" => good with { Labels = [true] },
            "fewer" => good with { Completions = [[1]] },
            _ => good with { Ranking = [1, 2] },
        };
        var message = Assert.Throws<InvalidInputException>(() => new PreferenceData([good, example])).Message;
        Assert.Equal($"The example good.jsonl:1 cannot be used, because {fault}.", message);
    }
}
