using Dpo.Native;

namespace Dpo.Batching;

/// <summary>The order of an epoch. The shuffle is Dpo's own: .NET promises nothing about <see cref="Random"/> from one version to
/// the next, and a run that is resumed under another one must go on in the order it was begun in.</summary>
internal static class ShuffledOrder
{
    /// <summary>What checkpoints call this order. To change the shuffle is to change the name, so that no run goes on in another
    /// order unseen; "True" stands in checkpoints whose data <see cref="Random"/> shuffled.</summary>
    public const string Name = "True (order 2)";

    /// <summary>All indices below a count, each once.</summary>
    /// <param name="count">How many.</param>
    /// <param name="seed">Any number; every one, negative ones too, has orders of its own.</param>
    /// <param name="epoch">Which pass over the data, from 0.</param>
    public static int[] Of(int count, int seed, int epoch)
    {
        int[] order = [.. Enumerable.Range(0, count)];
        var start = CounterRandom.Mix(CounterRandom.Mix((ulong)seed) + (ulong)epoch);
        // Fisher and Yates: from the last place on, each takes one of those that are left.
        for (var place = count - 1; place > 0; place--)
        {
            var taken = CounterRandom.Below(place + 1, start + (ulong)place);
            (order[place], order[taken]) = (order[taken], order[place]);
        }
        return order;
    }
}
