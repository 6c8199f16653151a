namespace Dpo.Tests;

/// <summary>Held-out data that cannot be evaluated on are refused before the first step, not after the last.</summary>
public class HeldOutDataTests
{
    private static string Refusal<T>(PreferenceData data, PreferenceData heldOut, IPreferenceLoss? loss = null, bool release = false)
        where T : Exception
    {
        using var pair = new PolicyReferencePair(new Gpt2(TrainerTests.Shape, seed: 5));
        if (release)
        {
            data = ReferenceLogProbs.Compute(pair, data);
            pair.ReleaseReference();
        }
        using var trainer = new DpoTrainer(pair, loss, TrainerTests.Options);
        var none = new TrainerTests.Callback(step => Assert.Fail($"Step {step.Step} was made."));
        return Assert.Throws<T>(() => trainer.Train(data, heldOut, none)).Message;
    }

    [Fact]
    public void Without_log_probabilities_of_a_released_reference() => Assert.Equal(
        "The reference was released, but the example row 0 carries no log-probabilities of it; compute those of all data, the held-out ones included, " +
        "with ReferenceLogProbs before ReleaseReference is called.",
        Refusal<InvalidOperationException>(TrainerTests.Data(16), TrainerTests.Data(3, seed: 1), release: true));

    [Fact]
    public void Longer_than_the_model() => Assert.Equal(
        "The example line 7 is longer than the model's 24 positions; shorten it with a smaller maximum length.",
        Refusal<InvalidInputException>(TrainerTests.Data(16), new PreferenceData(
            [new([.. Enumerable.Repeat(1, 20)], [[1, 2, 3, 4, 5], [0, 1, 2, 3, 4, 5]], [new(0, 1)]) { Source = "line 7" }])));

    [Fact]
    public void Without_what_the_loss_learns_from()
    {
        var unpaired = new PreferenceData([.. TrainerTests.Data(16).Examples.Select(example => new TrainingExample(example.Prompt, example.Completions, []))]);
        Assert.Contains("pair", Refusal<InvalidInputException>(TrainerTests.Data(16), unpaired), StringComparison.Ordinal);
    }

    [Fact]
    public void Several_sets_are_measured_in_the_order_of_their_names()
    {
        var (a, b) = (TrainerTests.Data(4, seed: 1), TrainerTests.Data(4, seed: 2));
        using var pair = new PolicyReferencePair(new Gpt2(TrainerTests.Shape, seed: 5));
        using var trainer = new DpoTrainer(pair, options: TrainerTests.Options with { Steps = 1 });
        var steps = new List<TrainingMetrics>();
        trainer.Train(TrainerTests.Data(16), new Dictionary<string, PreferenceData> { ["b"] = b, ["a"] = a }, new Recorder(steps));
        Assert.Equal(["eval_a_loss", "eval_b_loss"], Assert.Single(steps).Values.Keys.Where(name => name.EndsWith("_loss", StringComparison.Ordinal)));
        Assert.Equal(trainer.Evaluate(a)["eval_loss"], steps[0]["eval_a_loss"]);
        Assert.Equal(trainer.Evaluate(b)["eval_loss"], steps[0]["eval_b_loss"]);
    }
}
