using System.Globalization;
using System.Text;

namespace Dpo.Data;

/// <summary>
/// Counts the rows of preference data that were read, and those dropped on the way to training, by reason.
/// </summary>
/// <remarks>
/// Pass one report to a reader and then to <c>ExampleTokenizer</c>, and print it once the data are through: data that
/// silently shrink are a common cause of results that cannot be reproduced. A row counts once, however often the data are gone
/// through. Examples that were made in memory, or that another report saw read, count where they are first cleaned or tokenized,
/// unless <see cref="CountRead"/> says how many there are. Not thread-safe.
/// </remarks>
public sealed class DataReport
{
    private const int SourcesShown = 5;

    private readonly SortedDictionary<string, (int Rows, List<string> Sources)> dropped = new(StringComparer.Ordinal);

    private static readonly object Reading = new();

    // Bits of 64 rows each, so that millions of rows are no matter.
    private readonly Dictionary<(object Place, object Data, long Block), ulong> passed = [];
    private readonly SortedSet<string> ignoredColumns = new(StringComparer.Ordinal);
    private int read, stated, met;

    /// <summary>Rows read, good or bad. Blank lines are no rows.</summary>
    public int Read => read + (stated > 0 ? stated : met);

    /// <summary>Rows read and not dropped.</summary>
    public int Used => Read - Dropped;

    /// <summary>Rows dropped, for whatever reason.</summary>
    public int Dropped => dropped.Values.Sum(reason => reason.Rows);

    /// <summary>Rows dropped for each reason.</summary>
    public IReadOnlyDictionary<string, int> DroppedByReason =>
        dropped.ToDictionary(reason => reason.Key, reason => reason.Value.Rows);

    /// <summary>Rows that <c>ExampleTokenizer</c> truncated.</summary>
    public int Truncated { get; private set; }

    /// <summary>Tokens that truncation took away, of prompts and completions.</summary>
    public long TokensCut { get; private set; }

    /// <summary>What <c>ExampleTokenizer</c> put in front of every prompt, such as <c>&lt;s&gt;</c>; null for
    /// nothing.</summary>
    public string? BeginningOfText { get; internal set; }

    /// <summary>Columns of which nothing is trained on, though by their names, or as texts of several words, they may hold
    /// something of the prompt, in the order of their names: of the first thousand rows of each file; in Parquet by their names
    /// alone.</summary>
    public IReadOnlyCollection<string> IgnoredColumns => ignoredColumns;

    /// <summary>Notes columns that nothing is read from.</summary>
    internal void Ignore(IEnumerable<string> columns) => ignoredColumns.UnionWith(columns);

    /// <summary>Counts rows as read, of examples that no reader of this report's read.</summary>
    /// <param name="rows">How many.</param>
    public void CountRead(int rows = 1) => stated += rows;

    /// <summary>Counts a reader's row.</summary>
    /// <returns>Whether it is read for the first time.</returns>
    internal bool CountRow(RowMark row)
    {
        if (!IsFirst(row, Reading))
            return false;
        read++;
        return true;
    }

    /// <summary>Counts the rows of an example as read, unless a reader did, or it was met before.</summary>
    internal void Meet(PreferenceExample example) => met += IsFirst(example.Mark, Reading) ? example.RowCount : 0;

    /// <summary>Whether a row comes by a place, such as a tokenizer, for the first time.</summary>
    internal bool IsFirst(RowMark row, object place)
    {
        var (block, bit) = ((place, row.Data, row.Index / 64), 1UL << (int)(row.Index % 64));
        var before = passed.GetValueOrDefault(block);
        passed[block] = before | bit;
        return (before & bit) == 0;
    }

    /// <summary>Counts rows as truncated, unless no token was cut.</summary>
    internal void CountCut(long tokens, int rows)
    {
        Truncated += tokens > 0 ? rows : 0;
        TokensCut += tokens;
    }

    /// <summary>Counts rows as dropped. The first five sources of every reason are kept for <see cref="ToString"/>.</summary>
    /// <param name="reason">Why, in a few words that are the same for every such row: "empty completion".</param>
    /// <param name="source">Where the row came from, such as <c>train.jsonl:12</c>.</param>
    /// <param name="rows">How many rows; a grouped example stands for several.</param>
    public void Drop(string reason, string? source, int rows = 1)
    {
        ArgumentNullException.ThrowIfNull(reason);
        var (before, sources) = dropped.GetValueOrDefault(reason, (0, []));
        if (source is not null && sources.Count < SourcesShown)
            sources.Add(source);
        dropped[reason] = (before + rows, sources);
    }

    /// <summary>One line:
    /// <c>read 2,354 rows; used 2,350; dropped 4: empty completion (test.jsonl:121, test.jsonl:741, …); not used:
    /// 'context'</c>.</summary>
    public override string ToString()
    {
        var line = new StringBuilder().Append(CultureInfo.InvariantCulture, $"read {Read:N0} rows; used {Used:N0}");
        foreach (var (reason, (rows, sources)) in dropped)
        {
            line.Append(CultureInfo.InvariantCulture, $"; dropped {rows:N0}: {reason}");
            if (sources.Count > 0)
                line.Append(" (").AppendJoin(", ", sources).Append(rows > sources.Count ? ", …)" : ")");
        }
        if (ignoredColumns.Count > 0)
            line.Append("; not used: ").AppendJoin(", ", ignoredColumns.Select(column => $"'{column}'"));
        return line.ToString();
    }
}
