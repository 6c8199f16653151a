namespace Dpo.Data;

/// <summary>The fields that rows have, and the names of the columns in which a file keeps them: the formats' own, the spellings
/// of well-known data sets, or what the user says. Which fields there are each format says beside its parser, and no other can be
/// asked for: of a table's columns those are read, so that JSON Lines and Parquet have the same.</summary>
internal sealed class ColumnNames
{
    private const string Prompt = "prompt";

    /// <summary>The column in which Alpaca's form has earlier turns of a chat.</summary>
    public const string History = "history";

    /// <summary>The column that holds what is said to the model before the prompt, where it is a text.</summary>
    public const string System = "system";

    /// <summary>Where a well-known set keeps the prompt: the first that a row has decides. Alpaca's has an input beside
    /// it.</summary>
    private static readonly string[][] Prompts = [[Prompt], ["question"], ["instruction", "input"], ["query"], ["input"]];

    private static readonly Dictionary<string, string> Spellings = new(StringComparer.Ordinal)
    {
        ["chosen"] = "chosen_response",
        ["rejected"] = "rejected_response",
    };

    private readonly IReadOnlyList<string> fields;
    private readonly Dictionary<string, string[]> named = new(StringComparer.Ordinal);

    private ColumnNames(IReadOnlyList<string> fields, IReadOnlyDictionary<string, string>? columns)
    {
        this.fields = fields;
        foreach (var (field, column) in columns ?? new Dictionary<string, string>())
        {
            if (!fields.Contains(field))
            {
                throw new InvalidInputException(
                    $"The columns' names say what '{field}' is called, but rows have no such field; they have {Quoted(fields)}.");
            }
            named[field] = column.Length == 0 ? [] : field == Prompt ? column.Split('+') : [column];
        }
    }

    /// <summary>The columns of preferences, some of which the user names.</summary>
    /// <exception cref="InvalidInputException">There is no such field.</exception>
    public static ColumnNames OfPreferences(IReadOnlyDictionary<string, string>? columns) => new(
        [.. PreferenceJsonLines.Fields.Union(HelpfulHarmlessTranscripts.Fields).Union(SummaryComparisons.Fields)], columns);

    /// <summary>The columns of reviews.</summary>
    /// <inheritdoc cref="OfPreferences"/>
    public static ColumnNames OfReviews(IReadOnlyDictionary<string, string>? columns) => new(ReviewFile.Fields, columns);

    /// <summary>The columns of rows that a user's function reads: all may be read, and none is known.</summary>
    public static ColumnNames None { get; } = new([], null);

    /// <summary>Whether the user said where the prompt is, or that there is none.</summary>
    public bool NamesPrompt => named.ContainsKey(Prompt);

    /// <summary>The names under which a field other than the prompt may stand.</summary>
    /// <exception cref="ArgumentException">No format says that it has the field: a mistake of the parser that asks.</exception>
    public IEnumerable<string> Of(string field)
    {
        if (!fields.Contains(field))
            throw new ArgumentException($"No format has '{field}' among its Fields; add it there.", nameof(field));
        return named.TryGetValue(field, out var own) ? own
            : Spellings.TryGetValue(field, out var other) ? [field, other] : [field];
    }

    /// <summary>The columns that make the prompt together, the system's text in front; none where there is no prompt.</summary>
    /// <param name="has">Whether there is a column of that name.</param>
    public IReadOnlyList<string> OfPrompt(Func<string, bool> has)
    {
        if (named.TryGetValue(Prompt, out var own))
            return own;
        var columns = Prompts.FirstOrDefault(columns => has(columns[0])) ?? [];
        return columns.Length == 0 ? [] : [.. columns.Prepend(System).Where(has)];
    }

    /// <summary>Whether a column of the prompt's holds what is said to the model before the prompt.</summary>
    public bool IsSystem(string column) => column == System && !NamesPrompt;

    /// <summary>Which of a table's columns are read: those of fields. Where pairs have no prompt, all: it may be among
    /// them.</summary>
    public IEnumerable<string> Among(IReadOnlyCollection<string> present)
    {
        var mayHide = fields.Count == 0
            || !NamesPrompt && fields.Contains("chosen") && Of("chosen").Any(present.Contains) && PromptAmong(present).Count == 0;
        var isRead = FieldsAmong(present);
        return present.Where(column => mayHide || isRead.Contains(column));
    }

    /// <summary>Which of a row's or a table's columns no field is read from.</summary>
    public IEnumerable<string> Ignored(IReadOnlyCollection<string> present) =>
        fields.Count == 0 ? [] : present.Except(FieldsAmong(present));

    private HashSet<string> FieldsAmong(IReadOnlyCollection<string> present) =>
        [.. fields.Where(field => field != Prompt).SelectMany(Of), .. PromptAmong(present), History];

    private IReadOnlyList<string> PromptAmong(IReadOnlyCollection<string> present) =>
        fields.Contains(Prompt) ? OfPrompt(present.Contains) : [];

    /// <summary>Whether a column is known by its name.</summary>
    public bool IsField(string column) =>
        Prompts.Any(columns => columns.Contains(column)) || fields.SelectMany(Of).Contains(column);

    /// <summary>The columns that the user named.</summary>
    public IEnumerable<string> Named => named.Values.SelectMany(columns => columns);

    /// <summary>Refuses a table without a column that the user named.</summary>
    public void RequireIn(string path, IReadOnlyCollection<string> present)
    {
        if (Named.FirstOrDefault(column => !present.Contains(column)) is { } missing)
            throw new InvalidInputException(
                $"{path}: the file has no column '{missing}', which was named; it has {Quoted(present)}.");
    }

    /// <summary>What is said where no row of a file has anything in a column that the user named.</summary>
    /// <param name="path">The file.</param>
    /// <param name="column">The column.</param>
    /// <param name="present">What the first row has.</param>
    public static InvalidInputException Nowhere(string path, string column, IEnumerable<string> present) =>
        new($"{path}: no row has anything in the column '{column}', which was named; the first row has {Quoted(present)}.");

    private static string Quoted(IEnumerable<string> names) => string.Join(", ", names.Select(name => $"'{name}'"));
}
