using Dpo.Batching;
using Dpo.Files;
using Dpo.Native;
using Dpo.Training.Checkpointing;

namespace Dpo.Baselines;

/// <summary>The prompts of rounds: the next ones of passes over all of them, each shuffled anew.</summary>
internal sealed class RoundPrompts
{
    private readonly IReadOnlyList<IReadOnlyList<int>> prompts;
    private readonly int count;
    private readonly int seed;

    /// <param name="prompts">All prompts.</param>
    /// <param name="count">How many a round takes.</param>
    /// <param name="seed">What orders them.</param>
    /// <exception cref="InvalidInputException">There is none.</exception>
    public RoundPrompts(IReadOnlyList<IReadOnlyList<int>> prompts, int count, int seed)
    {
        ArgumentNullException.ThrowIfNull(prompts);
        if (prompts.Count == 0)
            throw new InvalidInputException("There is no prompt to sample from.");
        (this.prompts, this.count, this.seed) = (prompts, count, seed);
    }

    /// <summary>What a checkpoint records of them.</summary>
    public RunFact Fact =>
        new("the prompts", Digest.Of(string.Join('\n', prompts.Select(ids => string.Join(' ', ids)))), OnChange.Refuse);

    /// <summary>The places of a round's prompts.</summary>
    public int[] Of(int round)
    {
        var orders = new Dictionary<int, int[]>();
        return [.. Enumerable.Range(0, count).Select(index => ((long)round * count) + index).Select(place =>
        {
            var pass = (int)(place / prompts.Count);
            if (!orders.TryGetValue(pass, out var order))
                orders[pass] = order = ShuffledOrder.Of(prompts.Count, seed, pass);
            return order[place % prompts.Count];
        })];
    }

    /// <summary>A seed that follows from the run's and the round's number.</summary>
    public int SeedOf(int round) => (int)CounterRandom.Mix(((ulong)(uint)seed << 32) + (uint)round);
}
