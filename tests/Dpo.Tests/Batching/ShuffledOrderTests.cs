namespace Dpo.Tests;

public class ShuffledOrderTests
{
    private static int[] Served(int count, int seed, int epoch) =>
        [.. new PreferenceData(Enumerable.Range(0, count).Select(id => new TrainingExample([id], [[0], [1]], [new(0, 1)])))
            .Batches(3, seed, epoch).SelectMany(batch => batch.Examples.Select(example => example.Prompt[0]))];

    /// <summary>Computed apart, by whole numbers without bounds: a checkpoint goes on in this order, whatever .NET's Random does.</summary>
    [Theory]
    [InlineData(0, 0, new[] { 7, 5, 1, 6, 8, 4, 3, 2, 0, 9 })]
    [InlineData(1, 0, new[] { 1, 2, 3, 9, 6, 0, 5, 7, 8, 4 })]
    [InlineData(-1, 0, new[] { 8, 6, 4, 2, 1, 0, 9, 5, 7, 3 })]
    [InlineData(-1, 1, new[] { 9, 5, 1, 3, 7, 0, 4, 2, 6, 8 })]
    [InlineData(int.MinValue, 0, new[] { 4, 8, 1, 6, 0, 5, 9, 3, 2, 7 })]
    [InlineData(int.MaxValue, 7, new[] { 4, 7, 8, 1, 9, 0, 2, 5, 3, 6 })]
    public void The_order_of_a_seed_and_an_epoch_is_the_same_everywhere(int seed, int epoch, int[] expected) =>
        Assert.Equal(expected, Served(10, seed, epoch));

    [Fact]
    public void A_seed_and_its_negative_and_neighbouring_epochs_have_orders_of_their_own()
    {
        var orders = from seed in Enumerable.Range(-10, 21) from epoch in Enumerable.Range(0, 10) select string.Join(' ', Served(20, seed, epoch));
        Assert.Equal(210, orders.Distinct().Count());
    }

    /// <summary>Of 24,000 shuffles of four each of the 24 orders has 1,000 ± 31; six standard deviations are allowed.</summary>
    [Fact]
    public void Every_order_is_as_likely_as_any_other()
    {
        var counts = Enumerable.Range(0, 24_000).CountBy(seed => string.Join(' ', ShuffledOrder.Of(4, seed, epoch: 0))).ToArray();
        Assert.Equal(24, counts.Length);
        Assert.All(counts, order => Assert.InRange(order.Value, 1000 - 186, 1000 + 186));
    }

    [Theory]
    [InlineData(0)]
    [InlineData(1)]
    public void Nothing_and_one_are_in_order(int count) => Assert.Equal(Enumerable.Range(0, count), ShuffledOrder.Of(count, seed: 3, epoch: 0));
}
