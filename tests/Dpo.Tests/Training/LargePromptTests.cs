using static TorchSharp.torch;

namespace Dpo.Tests;

/// <summary>A prompt that occurs in very many rows is one example; computing it takes the memory of the budget, and gives the same.</summary>
public class LargePromptTests
{
    private const int Completions = 40;
    private const int Budget = 50;

    /// <summary>How the completions are joined.</summary>
    public enum Joined
    {
        ByTwo,
        ToTheFirst,
        Ranked,
        Labelled,
        Scored,
    }

    private static PreferenceData Data(Joined joined)
    {
        var random = new Random(2);
        int[] Ids(int most) => [.. Enumerable.Range(0, random.Next(1, most + 1)).Select(_ => random.Next(1, 40))];
        IEnumerable<PreferencePair> pairs = joined switch
        {
            Joined.ByTwo or Joined.Scored => Enumerable.Range(0, Completions / 2).Select(pair => new PreferencePair(2 * pair, (2 * pair) + 1)),
            Joined.ToTheFirst => Enumerable.Range(1, Completions - 1).Select(index => new PreferencePair(0, index)),
            Joined.Ranked => Enumerable.Range(1, Completions - 1).Select(index => new PreferencePair(index - 1, index)),
            _ => [],
        };
        var large = new TrainingExample([.. Ids(6), 5], [.. Enumerable.Range(0, Completions).Select(_ => (int[])[.. Ids(8), 0])], [.. pairs])
        {
            Ranking = joined == Joined.Ranked ? [.. Enumerable.Range(0, Completions)] : null,
            Scores = joined is Joined.Scored or Joined.Ranked ? [.. Enumerable.Range(0, Completions).Select(_ => random.NextSingle())] : null,
            Labels = joined == Joined.Labelled ? [.. Enumerable.Range(0, Completions).Select(index => index % 3 == 0)] : null,
        };
        var others = LossFamilyTests.Data(5, labelled: false).Examples;
        return joined == Joined.Labelled
            ? new PreferenceData([large, .. LossFamilyTests.Data(5, labelled: true).Examples]).WithMismatches()
            : new PreferenceData([large, .. joined is Joined.Ranked or Joined.Scored ? others : others.Select(example => example with { Ranking = null, Scores = null })]);
    }

    /// <summary>Sees how many tokens are computed at once.</summary>
    private sealed class Watched : CausalLanguageModel
    {
        private readonly Gpt2 inner;

        public Watched(int seed)
            : base(nameof(Watched))
        {
            inner = new Gpt2(TrainerTests.Shape, seed);
            RegisterComponents();
        }

        public long Most { get; set; }

        public override OutputHead Head => inner.Head;

        public override Tensor forward(Tensor ids, SequenceLayout layout)
        {
            Most = Math.Max(Most, layout.Examples.Sum(example => example.PromptLength + example.CompletionLengths.Sum()));
            return inner.call(ids, layout);
        }
    }

    private static (TrainingMetrics Metrics, double[] Gradient, long Most) Step(string loss, PreferenceData data, int microBatchTokens)
    {
        var (policy, reference) = (new Watched(seed: 6), new Watched(seed: 5));
        using var pair = new PolicyReferencePair(policy, reference);
        using var sgd = optim.SGD(policy.parameters(), 0);
        using var trainer = new DpoTrainer(pair, LossFamilyTests.Named(loss).Create(), TrainerTests.Options with
        {
            BatchSize = int.MaxValue,
            Steps = 1,
            Schedule = (_, _) => 0,
            MaxGradNorm = double.PositiveInfinity,
            MicroBatchTokens = microBatchTokens,
            DetailedMetrics = true,
        }, sgd);
        var steps = new List<TrainingMetrics>();
        trainer.Train(data, data, new Recorder(steps));
        return (steps.Single(), [.. policy.parameters().SelectMany(parameter => parameter.grad!.flatten().ToDoubles())], Math.Max(policy.Most, reference.Most));
    }

    [Theory]
    [InlineData(Joined.ByTwo, "sigmoid")]
    [InlineData(Joined.ByTwo, "wpo sigmoid")]
    [InlineData(Joined.ByTwo, "aot")]
    [InlineData(Joined.ToTheFirst, "sigmoid")]
    [InlineData(Joined.ToTheFirst, "wpo ld apo_zero sft")]
    [InlineData(Joined.ToTheFirst, "aot")]
    [InlineData(Joined.ToTheFirst, "orpo")]
    [InlineData(Joined.Ranked, "plackett_luce")]
    [InlineData(Joined.Scored, "rpo_sq")]
    [InlineData(Joined.Labelled, "kto")]
    public void A_large_prompt_is_computed_within_the_budget_and_gives_the_same(Joined joined, string loss)
    {
        var data = Data(joined);
        var (metrics, gradient, most) = Step(loss, data, int.MaxValue);
        Assert.True(most > 4 * Budget);
        var (cutMetrics, cutGradient, cutMost) = Step(loss, data, Budget);
        Assert.InRange(cutMost, Budget / 2, Budget);
        Assert.Equal(metrics.Values.Keys, cutMetrics.Values.Keys);
        foreach (var (name, value) in metrics.Values)
            Numbers.AssertClose(value, cutMetrics[name], 1e-4, name);
        var norm = Math.Sqrt(gradient.Sum(value => value * value));
        var difference = Math.Sqrt(gradient.Zip(cutGradient, (a, b) => (a - b) * (a - b)).Sum());
        Assert.True(difference <= 1e-4 * norm, $"The gradient of norm {norm} differs by {difference}.");
    }

    [Fact]
    public void Reference_log_probabilities_of_a_large_prompt_are_computed_within_the_budget()
    {
        var data = Data(Joined.Ranked);
        var reference = new Watched(seed: 5);
        using var pair = new PolicyReferencePair(new Watched(seed: 6), reference);
        var whole = ReferenceLogProbsTests.Values(ReferenceLogProbs.Compute(pair, data, int.MaxValue));
        Assert.True(reference.Most > 4 * Budget);
        reference.Most = 0;
        var cut = ReferenceLogProbsTests.Values(ReferenceLogProbs.Compute(pair, data, Budget));
        Assert.InRange(reference.Most, Budget / 2, Budget);
        Numbers.AssertClose([.. whole.Select(value => (double)value)], [.. cut.Select(value => (double)value)], 1e-5);
    }
}
