namespace Dpo.Samples;

/// <summary>
/// Random numbers that follow from a seed (SplitMix64), on every platform and with every version of .NET, which promises no such
/// thing of <see cref="Random"/>: a run that is resumed or repeated draws the same data again.
/// </summary>
internal sealed class SeededRandom(int seed)
{
    private const ulong Increment = 0x9E3779B97F4A7C15;

    private ulong state = (ulong)seed;

    /// <summary>From 0 up to, not including, 1, in steps of 2⁻⁵³.</summary>
    public double NextDouble() => (NextBits() >> 11) * (1.0 / (1L << 53));

    /// <summary>A whole number from 0 up to, not including, <paramref name="bound"/>.</summary>
    public int Next(int bound) => (int)Math.BigMul(NextBits(), (ulong)bound, out _);

    /// <summary>A whole number from <paramref name="first"/> up to, not including, <paramref name="bound"/>.</summary>
    public int Next(int first, int bound) => first + Next(bound - first);

    public T Pick<T>(IReadOnlyList<T> choices) => choices[Next(choices.Count)];

    /// <summary>A choice that does not equal one already made.</summary>
    public T PickOther<T>(IReadOnlyList<T> choices, params ReadOnlySpan<T> made)
    {
        T choice;
        do
            choice = Pick(choices);
        while (made.Contains(choice));
        return choice;
    }

    public bool Chance(double probability) => NextDouble() < probability;

    /// <summary>Brings items into another order (Fisher and Yates).</summary>
    public void Shuffle<T>(T[] items)
    {
        for (var place = items.Length - 1; place > 0; place--)
        {
            var taken = Next(place + 1);
            (items[place], items[taken]) = (items[taken], items[place]);
        }
    }

    private ulong NextBits()
    {
        state += Increment;
        var bits = state;
        bits = (bits ^ (bits >> 30)) * 0xBF58476D1CE4E5B9;
        bits = (bits ^ (bits >> 27)) * 0x94D049BB133111EB;
        return bits ^ (bits >> 31);
    }
}
