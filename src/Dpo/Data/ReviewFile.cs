using System.Text;
using System.Text.Unicode;
using Dpo.Files;

namespace Dpo.Data;

/// <summary>A film review and whether it is favourable.</summary>
/// <param name="Text">The review, with newlines where the original has <c>&lt;br /&gt;</c>.</param>
/// <param name="Positive">Whether it is favourable.</param>
/// <param name="Source">Where it came from, such as <c>imdb_train.jsonl.gz:12</c> or <c>pos/0_9.txt</c>.</param>
public sealed record Review(string Text, bool Positive, string Source);

/// <summary>
/// Reads the IMDb reviews of Maas et al. (2011): from JSON Lines with <c>text</c> and <c>label</c> ("pos" or "neg", or 1
/// or 0 as in the hub's copies), or from the
/// original <c>aclImdb</c> folder.
/// </summary>
public static class ReviewFile
{
    /// <summary>Reads the reviews one by one.</summary>
    /// <param name="path">A <c>.jsonl</c> or <c>.jsonl.gz</c> file; or the <c>aclImdb</c> folder, whose <c>train</c> part is
    /// read; or a folder that itself has <c>neg</c> and <c>pos</c>, read in that order, files in
    /// ordinal order of their names.</param>
    /// <param name="report">Counts the reviews read and dropped.</param>
    /// <param name="badRows">Whether bad rows (malformed, empty, another label) are skipped and counted, or refused.</param>
    /// <param name="columns">Under which names the file has <c>text</c> and <c>label</c>, where it has them under others.</param>
    /// <exception cref="InvalidInputException">While reading: there is no such file or folder, it cannot be read, or a bad row is
    /// refused. At once: <paramref name="columns"/> names another field.</exception>
    public static IEnumerable<Review> Read(
        string path, DataReport report, BadRows badRows = BadRows.Skip, IReadOnlyDictionary<string, string>? columns = null)
    {
        ArgumentNullException.ThrowIfNull(path);
        ArgumentNullException.ThrowIfNull(report);
        var names = ColumnNames.OfReviews(columns);
        return Directory.Exists(path)
            ? ReadFolder(path, report, badRows, new object())
            : JsonRows.Read(JsonRows.Of(path), names, report, badRows, Parse);
    }

    /// <summary>The fields that <see cref="Parse"/> reads.</summary>
    internal static IReadOnlyList<string> Fields { get; } = ["text", "label"];

    internal static Review Parse(DataRow row, RowMark mark)
    {
        // The hub's copies number the classes.
        var label = row.Get("label");
        return (label.Flag() is { } flag ? flag ? "pos" : "neg" : row.Text("label")) switch
        {
            "pos" => Create(row.Text("text"), true, row.Source),
            "neg" => Create(row.Text("text"), false, row.Source),
            _ => throw new BadRowException("'label' is neither \"pos\" (or 1) nor \"neg\" (or 0)"),
        };
    }

    private static IEnumerable<Review> ReadFolder(string path, DataReport report, BadRows badRows, object reading)
    {
        var index = 0L;
        var train = Path.Combine(path, "train");
        var root = Directory.Exists(train) ? train : path;
        foreach (var label in new[] { "neg", "pos" })
        {
            var folder = Path.Combine(root, label);
            if (!Directory.Exists(folder))
            {
                throw new InvalidInputException(
                    $"{path}: there is no folder {label}; give the aclImdb folder, or one with the folders neg and pos.");
            }
            foreach (var file in Directory.GetFiles(folder, "*.txt").Order(StringComparer.Ordinal))
            {
                var isFirst = report.CountRow(new RowMark(reading, index++));
                var source = $"{label}/{Path.GetFileName(file)}";
                Review? review = null;
                try
                {
                    review = Create(ReadText(file), label == "pos", source);
                }
                catch (BadRowException e)
                {
                    JsonRows.Drop(report, badRows, isFirst, e.Message, source, file);
                }
                if (review is not null)
                    yield return review;
            }
        }
    }

    private static string ReadText(string file)
    {
        var bytes = RegularFile.ReadAllBytes(file, FileWindow.LongestRow);
        return Utf8.IsValid(bytes) ? Encoding.UTF8.GetString(bytes) : throw new BadRowException("invalid UTF-8");
    }

    private static Review Create(string text, bool positive, string source) => string.IsNullOrWhiteSpace(text)
        ? throw new BadRowException("empty review")
        : new Review(text.Replace("<br />", "\n", StringComparison.Ordinal), positive, source);
}
