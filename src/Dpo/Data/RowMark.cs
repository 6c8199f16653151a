namespace Dpo.Data;

/// <summary>Which row an example is: that of a reader, or one made in memory. By it a <see cref="DataReport"/> counts a row once,
/// however often the data are gone through, and copies of an example count as the example itself.</summary>
/// <param name="data">The reader's.</param>
/// <param name="index">The row's number among them.</param>
internal readonly struct RowMark(object data, long index) : IEquatable<RowMark>
{
    private static readonly object Memory = new();
    private static long made;

    /// <summary>What the row belongs to.</summary>
    public object Data => data;

    /// <summary>The row's number.</summary>
    public long Index => index;

    /// <summary>The mark of an example that is made in memory.</summary>
    public static RowMark New() => new(Memory, Interlocked.Increment(ref made));

    /// <summary>Always true, so that the equality of the examples that carry marks ignores them.</summary>
    public bool Equals(RowMark other) => true;

    public override bool Equals(object? other) => other is RowMark;

    public override int GetHashCode() => 0;
}
