using CsCheck;
using static TorchSharp.torch;

namespace Dpo.Tests;

public class PreferenceDataTests
{
    private static TrainingExample Example(int id, int pairs = 1) => new(
        [id, id],
        [.. Enumerable.Range(0, pairs + 1).Select(completion => (int[])[id, completion, 0])],
        [.. Enumerable.Range(0, pairs).Select(pair => new PreferencePair(0, pair + 1))]);

    [Fact]
    public void File_order_is_kept_without_a_seed_and_the_last_batch_is_smaller()
    {
        var data = new PreferenceData(Enumerable.Range(0, 5).Select(id => Example(id)));
        Assert.Equal(
            [[0, 1], [2, 3], [4]],
            data.Batches(2).Select(batch => batch.Examples.Select(example => example.Prompt[0]).ToArray()));
    }

    [Fact]
    public void Every_epoch_serves_every_example_once_in_an_order_of_its_own()
    {
        Gen.Select(Gen.Int[1, 60], Gen.Int[1, 20], Gen.Int).Sample((count, size, seed) =>
        {
            var data = new PreferenceData(Enumerable.Range(0, count).Select(id => Example(id, pairs: 1 + id % 3)));
            int[] Order(int epoch) => [.. data.Batches(size, seed, epoch).SelectMany(batch => batch.Examples.Select(e => e.Prompt[0]))];
            Assert.Equal(Enumerable.Range(0, count), Order(0).Order());
            Assert.Equal(Order(1), Order(1));
            if (count > 20)
                Assert.NotEqual(Order(0), Order(1));
            Assert.All(data.Batches(size, seed), batch => Assert.True(batch.PairCount <= size || batch.Examples.Count == 1));
        }, iter: 200);
    }

    [Fact]
    public void Split_keeps_examples_whole_and_within_both_limits()
    {
        var batch = new PreferenceBatch([.. Enumerable.Range(0, 7).Select(id => Example(id, pairs: 2))]);
        // An example has 2 + 3·3 tokens and 2 pairs.
        Assert.Equal([2, 2, 2, 1], batch.Split(maxTokens: 22).Select(part => part.Examples.Count));
        Assert.Equal([1, 1, 1, 1, 1, 1, 1], batch.Split(maxTokens: 5).Select(part => part.Examples.Count));
        Assert.Equal([3, 3, 1], batch.Split(maxPairs: 6).Select(part => part.Examples.Count));
        Assert.Equal([7], batch.Split().Select(part => part.Examples.Count));
    }

    [Fact]
    public void A_batch_without_examples_and_parts_without_room_are_refused()
    {
        Assert.Equal(
            "A batch needs at least one example. (Parameter 'examples')", Assert.Throws<ArgumentException>(() => new PreferenceBatch([])).Message);
        var batch = new PreferenceBatch([Example(1)]);
        Assert.Equal("maxTokens", Assert.Throws<ArgumentOutOfRangeException>(() => batch.Split(maxTokens: 0)).ParamName);
        Assert.Equal("maxPairs", Assert.Throws<ArgumentOutOfRangeException>(() => batch.Split(maxPairs: 0)).ParamName);
    }

    /// <summary>A ranking of 4 counts its 6 pairs, labelled and chosen completions count themselves, and those of other prompts, which
    /// KTO needs beside them, nothing.</summary>
    [Fact]
    public void A_batch_has_as_many_pairs_or_completions_that_are_trained_on_as_were_asked_for()
    {
        PreferencePair[] everyPair = [new(0, 1), new(0, 2), new(0, 3), new(1, 2), new(1, 3), new(2, 3)];
        var ranked = new PreferenceData(Enumerable.Range(0, 4).Select(id => new TrainingExample([id], [[1], [2], [3], [4]], everyPair) { Ranking = [0, 1, 2, 3] }));
        Assert.Equal([2, 2], ranked.Batches(12).Select(batch => batch.Counts.Rankings));

        var labelled = new PreferenceData(Enumerable.Range(0, 10).Select(id => new TrainingExample([id], [[1], [2]], []) { Labels = [true, false] })).WithMismatches();
        Assert.Equal([8, 8, 4], labelled.Batches(8).Select(batch => batch.Counts.Desirable + batch.Counts.Undesirable));
        Assert.Equal([12, 12, 6], labelled.Batches(8).Select(batch => batch.CompletionCount));
        Assert.Equal([4, 4], labelled.Batches(8).First().Split(maxPairs: 4).Select(part => part.Counts.Desirable + part.Counts.Undesirable));
        Assert.Equal([8, 2], labelled.ChosenOnly().Batches(8).Select(batch => batch.CompletionCount));
    }

    [Fact]
    public void Split_puts_examples_of_similar_length_together_the_longest_first()
    {
        int[] lengths = [2, 9, 3, 8];
        var batch = new PreferenceBatch([.. lengths.Select(length => new TrainingExample([1], [new int[length]], []))]);
        Assert.Equal([[9, 8], [3, 2]], batch.Split(maxPairs: 2).Select(part => part.Examples.Select(e => e.Completions[0].Count).ToArray()));
    }

    [Fact]
    public void Tensors_lay_tokens_end_to_end_and_number_completions_through_the_batch()
    {
        using var scope = NewDisposeScope();
        var batch = new PreferenceBatch(
        [
            new([5, 6], [[7, 8, 0], [9, 0]], [new(1, 0)]),
            new([4], [[0], [3, 2], [1, 0]], [new(0, 2), new(1, 0)]),
        ]);
        var tensors = batch.To(CPU);
        Assert.Equal([5, 6, 7, 8, 9, 4, 3, 1], tensors.Ids.data<long>());
        Assert.Equal([7, 8, 0, 9, 0, 0, 3, 2, 1, 0], tensors.Targets.data<long>());
        Assert.Equal([1, 2, 3], tensors.Chosen.data<long>());
        Assert.Equal([0, 4, 2], tensors.Rejected.data<long>());
        Assert.Equal((3, 5, 10, 2 * 2 + 3 * 1 + 10), (batch.PairCount, batch.CompletionCount, batch.CompletionTokenCount, batch.SequenceTokenCount));
        Assert.Null(tensors.ReferencePerToken);
    }

    [Fact]
    public void Reference_log_probabilities_lie_as_the_targets_do_where_every_example_has_them()
    {
        using var scope = NewDisposeScope();
        TrainingExample[] examples =
        [
            new([5, 6], [[7, 8], [9]], [new(1, 0)]) { ReferenceLogProbs = [[-1f, -2f], [-3f]], Source = "row 1" },
            new([4], [[0]], []) { ReferenceLogProbs = [[-4f]] },
        ];
        Assert.Equal([-1f, -2f, -3f, -4f], new PreferenceBatch(examples).To(CPU).ReferencePerToken!.data<float>());
        Assert.Null(new PreferenceBatch([examples[0], examples[1] with { ReferenceLogProbs = null }]).To(CPU).ReferencePerToken);

        var other = new PreferenceBatch([examples[0] with { Completions = [[7], [8, 9]] }]);
        Assert.Equal(
            "The reference log-probabilities of the example row 1 belong to other completions; set them to null, or compute them again.",
            Assert.Throws<InvalidOperationException>(() => other.To(CPU)).Message);
    }

    /// <summary>Examples of one pair each, and of several, whose batches depend on the order.</summary>
    [Theory]
    [InlineData(1, false)]
    [InlineData(4, true)]
    public void Batches_of_several_epochs_are_counted_as_they_are_planned(int pairs, bool vary)
    {
        var data = WithPairs(pairs);
        int Planned(int? seed, int epoch) => data.Plan(5, seed, epoch).Count();
        Assert.Equal(vary, Enumerable.Range(0, 30).Select(epoch => Planned(7, epoch)).Distinct().Count() > 1);
        foreach (var seed in (int?[])[null, 7])
            Assert.Equal(Enumerable.Range(0, 30).Sum(epoch => Planned(seed, epoch)), data.CountBatches(5, seed, 30, default));
    }

    [Fact]
    public void More_batches_than_a_run_has_steps_are_refused_at_once_and_counting_is_cancelled()
    {
        Assert.Equal(
            "2147483647 epochs are more than 2147483647 steps; give fewer epochs, or a number of steps.",
            Assert.Throws<InvalidInputException>(() => WithPairs(1).CountBatches(5, 7, int.MaxValue, default)).Message);
        using var cancelled = new CancellationTokenSource();
        cancelled.Cancel();
        Assert.Throws<OperationCanceledException>(() => WithPairs(4).CountBatches(5, 7, int.MaxValue, cancelled.Token));
    }

    /// <summary>23 examples of 1 to so many pairs.</summary>
    private static PreferenceData WithPairs(int most) => new(Enumerable.Range(0, 23).Select(index => new TrainingExample(
        [1], [[2], [3]], [.. Enumerable.Repeat(new PreferencePair(0, 1), 1 + index % most)])));
}
