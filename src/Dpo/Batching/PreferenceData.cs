namespace Dpo;

/// <summary>Tokenized examples in memory, served as batches, one epoch at a time.</summary>
public sealed class PreferenceData
{
    /// <summary>Creates the data of the given examples.</summary>
    /// <exception cref="InvalidInputException">There is no example.</exception>
    public PreferenceData(IEnumerable<TokenizedExample> examples)
    {
        ArgumentNullException.ThrowIfNull(examples);
        Examples = [.. examples];
        if (Examples.Count == 0)
            throw new InvalidInputException("The data holds no example that can be trained on; see the counts of dropped rows.");
    }

    /// <summary>The examples, in the order in which they were read.</summary>
    public IReadOnlyList<TokenizedExample> Examples { get; }

    /// <summary>
    /// The batches of one epoch. Every example is served once; an example stays in one batch, so that its prompt is computed
    /// once, and the last batch may be smaller.
    /// </summary>
    /// <param name="size">The most pairs in a batch; an example without pairs counts its completions.</param>
    /// <param name="seed">Shuffles the order by a generator of its own, so that nothing else in the process changes it; null
    /// keeps the order of the file.</param>
    /// <param name="epoch">Which epoch, from 0: every epoch is shuffled anew.</param>
    public IEnumerable<PreferenceBatch> Batches(int size, int? seed = null, int epoch = 0)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(size, 1);
        ArgumentOutOfRangeException.ThrowIfNegative(epoch);
        var order = Examples.ToArray();
        if (seed is { } value)
            new Random(Mix(value, epoch)).Shuffle(order);
        return PreferenceBatch.Pack(order, int.MaxValue, size);
    }

    /// <summary>The data supervised fine-tuning takes: the chosen completions of every example.</summary>
    public PreferenceData ChosenOnly() => new(Examples.Select(example => example.ChosenOnly()));

    /// <summary>One seed out of two numbers (SplitMix64's finalizer). Random takes a seed and its negative for the same, so it
    /// is given the upper 31 bits.</summary>
    private static int Mix(int seed, int epoch)
    {
        var bits = ((ulong)(uint)seed << 32) | (uint)epoch;
        bits = (bits ^ (bits >> 30)) * 0xbf58476d1ce4e5b9;
        bits = (bits ^ (bits >> 27)) * 0x94d049bb133111eb;
        return (int)((bits ^ (bits >> 31)) >> 33);
    }
}
