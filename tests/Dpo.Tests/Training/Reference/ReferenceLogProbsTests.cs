using static TorchSharp.torch;

namespace Dpo.Tests;

public class ReferenceLogProbsTests
{
    private static PolicyReferencePair Pair() => new(new Gpt2(TrainerTests.Shape, seed: 5));

    /// <summary>The values of all examples, one behind the other.</summary>
    internal static float[] Values(PreferenceData data) =>
        [.. data.Examples.SelectMany(example => example.ReferenceLogProbs!.SelectMany(values => values))];

    /// <summary>TRL's trajectory with the reference run in every step, or computed once and released.</summary>
    private static List<TrainingMetrics> Trajectory(int microBatchSize, int? cachedTokens)
    {
        var config = Numbers.Json("trajectories", "gpt2_rmsprop", "config.json");
        using var pair = PolicyReferencePair.Load(Fixture.Path("models", "gpt2"));
        var data = RecordedRun.Data(config);
        if (cachedTokens is { } maxTokens)
        {
            data = ReferenceLogProbs.Compute(pair, data, maxTokens);
            pair.ReleaseReference();
        }
        var options = RecordedRun.Options(config) with { MicroBatchSize = microBatchSize };
        using var loss = new DpoLoss(config.GetProperty("beta").GetDouble());
        using var trainer = new DpoTrainer(pair, loss, options);
        var steps = new List<TrainingMetrics>();
        trainer.Train(data, progress: new Recorder(steps));
        return steps;
    }

    [Fact]
    public void Training_on_cached_values_is_training_with_the_live_reference_to_the_bit_where_the_products_have_the_same_rows()
    {
        // One example at a time, so that rows do not depend on its neighbours.
        var live = Trajectory(microBatchSize: 1, cachedTokens: null);
        var cached = Trajectory(microBatchSize: 1, cachedTokens: 1);
        Assert.Equal(12, live.Count);
        Assert.Equal(live.Select(step => step.Values), cached.Select(step => step.Values));
        Assert.Equal(0, cached[0]["rewards/chosen"]);
    }

    [Theory]
    [InlineData(4096)]
    [InlineData(100)]
    public void Training_on_cached_values_is_training_with_the_live_reference_however_they_were_batched(int maxTokens)
    {
        var live = Trajectory(microBatchSize: 4, cachedTokens: null);
        var cached = Trajectory(microBatchSize: 4, maxTokens);
        foreach (var (expected, actual) in live.Zip(cached))
        {
            foreach (var (name, value) in expected.Values)
                Numbers.AssertClose(value, actual[name], 1e-6, $"step {expected.Step}, {name}");
        }
    }

    [Fact]
    public void Values_are_the_references_in_the_order_of_the_data_and_every_way_to_cut_a_batch_keeps_them()
    {
        using var scope = NewDisposeScope();
        using var pair = Pair();
        using (var trainer = new DpoTrainer(pair, options: TrainerTests.Options))
            trainer.Train(TrainerTests.Data(16)); // the policy is another model now
        var data = TrainerTests.Data(9);
        var done = new List<int>();

        var computed = ReferenceLogProbs.Compute(pair, data, maxTokens: 60, new Done(done));

        Assert.Equal(9, done[^1]);
        Assert.True(done.Count > 3 && done.SequenceEqual(done.Order().Distinct()));
        foreach (var (expected, example) in data.Examples.Zip(computed.Examples))
        {
            Assert.Equal(expected, example with { ReferenceLogProbs = null });
            var live = pair.LogProbsOfReference(new PreferenceBatch([expected]).To(CPU)).PerToken;
            Numbers.AssertClose(live.ToDoubles(), [.. example.ReferenceLogProbs!.SelectMany(x => x).Select(x => (double)x)], 1e-6);
        }

        // In the order in which a batch is cut, the longest first.
        var sorted = new PreferenceData(computed.Examples.OrderByDescending(example => example.TokenCount));
        var whole = pair.LogProbs(new PreferenceBatch(sorted.Examples).To(CPU)).Reference;
        Assert.Equal(Values(sorted), whole.PerToken.data<float>());
        Assert.False(whole.Sums.requires_grad);
        for (var maxTokens = 1; maxTokens < 200; maxTokens += 7)
        {
            var parts = new PreferenceBatch(computed.Examples).Split(maxTokens)
                .Select(part => pair.LogProbs(part.To(CPU)).Reference).ToArray();
            Assert.Equal(whole.PerToken.ToDoubles(), parts.SelectMany(part => part.PerToken.ToDoubles()));
            Assert.Equal(whole.Sums.ToDoubles(), parts.SelectMany(part => part.Sums.ToDoubles()));
            Assert.Equal(whole.Counts.ToDoubles(), parts.SelectMany(part => part.Counts.ToDoubles()));
        }
    }

    private sealed class Done(List<int> done) : IProgress<int>
    {
        public void Report(int value) => done.Add(value);
    }

    [Fact]
    public void A_second_computation_runs_the_reference_and_not_the_values_of_the_first()
    {
        using var first = Pair();
        using var second = new PolicyReferencePair(new Gpt2(TrainerTests.Shape, seed: 6));
        var data = TrainerTests.Data(4);
        var expected = Values(ReferenceLogProbs.Compute(second, data));
        Assert.Equal(expected, Values(ReferenceLogProbs.Compute(second, ReferenceLogProbs.Compute(first, data))));
        Assert.NotEqual(expected, Values(ReferenceLogProbs.Compute(first, data)));
    }

    [Fact]
    public void Cancellation_ends_the_computation_between_batches()
    {
        using var pair = Pair();
        using var cancellation = new CancellationTokenSource();
        cancellation.Cancel();
        Assert.Throws<OperationCanceledException>(
            () => ReferenceLogProbs.Compute(pair, TrainerTests.Data(3), cancellationToken: cancellation.Token));
    }

    [Fact]
    public void A_released_reference_cannot_be_run_but_cached_data_trains_on()
    {
        using var scope = NewDisposeScope();
        using var pair = Pair();
        var data = TrainerTests.Data(4);
        var computed = ReferenceLogProbs.Compute(pair, data);
        pair.ReleaseReference();
        pair.ReleaseReference();
        const string message = "The reference was released and cannot be run; compute the reference log-probabilities of all data " +
            "with ReferenceLogProbs before ReleaseReference is called.";
        Assert.Equal(message, Assert.Throws<InvalidOperationException>(() => pair.LogProbs(new PreferenceBatch(data.Examples).To(CPU))).Message);
        Assert.Equal(message, Assert.Throws<InvalidOperationException>(() => ReferenceLogProbs.Compute(pair, computed)).Message);
        Assert.Equal(message, Assert.Throws<InvalidOperationException>(() => ReferenceLogProbs.Load("none", pair, computed)).Message);
        using var trainer = new DpoTrainer(pair);
        Numbers.AssertClose(Math.Log(2), trainer.Evaluate(computed)["eval_loss"], 1e-6, "loss");
    }
}
