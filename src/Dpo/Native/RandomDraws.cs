namespace Dpo.Native;

/// <summary>The random numbers of a computation that is run more than once and must draw the same each time, as one is whose
/// gradients come from a second run.</summary>
internal sealed class RandomDraws
{
    /// <summary>Those of what runs on this thread, or null.</summary>
    [ThreadStatic]
    private static RandomDraws? current;

    private readonly List<ulong> values = [];
    private RandomDraws? outer;
    private int next;

    /// <summary>Whether such a computation runs: its first run has grad mode off, but counts as one that is
    /// differentiated.</summary>
    public static bool AreKept => current is not null;

    /// <summary>Draws a number, in a computation's further runs that of its first.</summary>
    public static ulong Once(Func<ulong> draw) => current is null ? draw() : current.Next(draw);

    /// <summary>Runs the computation. One inside it keeps its own, and in the outer one's further runs it draws the same
    /// too.</summary>
    public T During<T>(Func<T> run)
    {
        (outer, next, current) = (current, 0, this);
        try
        {
            return run();
        }
        finally
        {
            current = outer;
        }
    }

    private ulong Next(Func<ulong> draw)
    {
        if (next == values.Count)
            values.Add(outer is null ? draw() : outer.Next(draw));
        return values[next++];
    }
}
