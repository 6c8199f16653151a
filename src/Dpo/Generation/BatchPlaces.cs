namespace Dpo.Generation;

/// <summary>Which sequence is computed at which place of a batch. The places that are computed are the first, without a
/// gap.</summary>
/// <param name="capacity">The most places.</param>
internal sealed class BatchPlaces(int capacity)
{
    private readonly List<SampledSequence?> places = [];

    /// <summary>The places up to the last that is taken. A sequence that has ended has left a gap, null, until the ranks are
    /// closed.</summary>
    public IReadOnlyList<SampledSequence?> Sequences => places;

    /// <summary>How many sequences could begin.</summary>
    public int Free => capacity - places.Count(sequence => sequence is not null);

    /// <summary>Leaves a gap.</summary>
    public void End(int place) => places[place] = null;

    /// <summary>Puts new sequences into the gaps and adds the rest at the end; gaps that are left are filled by moving
    /// sequences from the end.</summary>
    /// <returns>The places at which they begin, and the moves from one place to another.</returns>
    public (int[] Begun, (int From, int To)[] Moves) CloseRanks(IReadOnlyList<SampledSequence> begin)
    {
        var (begun, moves) = (new int[begin.Count], new List<(int From, int To)>());
        var gap = 0;
        for (var index = 0; index < begun.Length; index++)
        {
            while (gap < places.Count && places[gap] is not null)
                gap++;
            if (gap == places.Count)
                places.Add(null);
            places[begun[index] = gap] = begin[index];
        }
        while (true)
        {
            while (places is [.., null])
                places.RemoveAt(places.Count - 1);
            while (gap < places.Count && places[gap] is not null)
                gap++;
            if (gap >= places.Count)
                return (begun, [.. moves]);
            moves.Add((places.Count - 1, gap));
            places[gap] = places[^1];
            places[^1] = null;
        }
    }
}
