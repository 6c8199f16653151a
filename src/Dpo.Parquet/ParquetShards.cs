using System.Globalization;
using System.Text.RegularExpressions;

namespace Dpo.Parquet;

/// <summary>Finds the files of a data set.</summary>
internal static partial class ParquetShards
{
    /// <summary>The files that a path names, in ordinal order; see <see cref="PreferenceParquet"/>.</summary>
    public static IReadOnlyList<string> Find(string path)
    {
        ArgumentNullException.ThrowIfNull(path);
        var isFolder = Directory.Exists(path);
        var pattern = Path.GetFileName(path);
        if (!isFolder && pattern.AsSpan().IndexOfAny('*', '?') < 0)
            return [path];
        var folder = isFolder ? path : Path.GetDirectoryName(path) is { Length: > 0 } parent ? parent : ".";
        string[] files;
        try
        {
            files = [.. Directory.GetFiles(folder, isFolder ? "*.parquet" : pattern).Order(StringComparer.Ordinal)];
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new InvalidInputException($"{path}: the folder cannot be read ({e.Message})", e);
        }
        if (files.Length == 0)
            throw new InvalidInputException(
                $"{path}: there is no such Parquet file; give a file, a pattern such as data/train-*.parquet, or a folder.");
        if (isFolder)
            RequireOneWholeSet(path, files);
        return files;
    }

    /// <summary>A folder of the hub often holds training and test data side by side; reading both would spoil every
    /// result.</summary>
    private static void RequireOneWholeSet(string path, string[] files)
    {
        Match[] shards = [.. files.Select(file => Shard().Match(Path.GetFileName(file)))];
        string[] sets = [.. shards.Select(shard => shard.Groups["set"].Value).Distinct(StringComparer.Ordinal)];
        if (sets.Length > 1)
        {
            throw new InvalidInputException(
                $"{path}: the folder holds several data sets ({string.Join(", ", sets)}); name one by a pattern, such as " +
                $"{Path.Combine(path, sets[0])}*.parquet.");
        }
        if (shards[0].Groups["count"] is { Success: true } count
            && int.TryParse(count.Value, CultureInfo.InvariantCulture, out var whole) && whole != files.Length)
        {
            throw new InvalidInputException(
                $"{path}: the folder holds {files.Length} of the {whole} files of {sets[0]}; fetch the others, or name those " +
                "to be read by a pattern.");
        }
    }

    [GeneratedRegex(@"^(?<set>.*?)(-\d+-of-(?<count>\d+).*)?\.parquet$", RegexOptions.CultureInvariant | RegexOptions.Singleline)]
    private static partial Regex Shard();
}
