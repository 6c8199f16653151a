using System.Text.Json;
using Dpo.Data;

namespace Dpo.Parquet;

/// <summary>Reads preferences out of Parquet files, in every form that <see cref="PreferenceFile"/> takes from JSON
/// Lines.</summary>
/// <remarks>
/// <para>A row is read as the JSON object with the row's fields would be; a field that is null in a row counts as missing from
/// it. Columns that no form names are not read, except where no column of a pair is known to be the prompt. Some pages of each
/// column are in memory at a time.</para>
/// <para><c>foreach (var example in PreferenceParquet.Read("data/train_prefs-*.parquet", report)) …</c></para>
/// </remarks>
public static class PreferenceParquet
{
    /// <summary>Reads the examples one by one, their source such as <c>train-00000-of-00002.parquet:12</c>, rows counted from 1
    /// in every file.</summary>
    /// <param name="path">A <c>.parquet</c> file; a pattern of file names with <c>*</c> or <c>?</c>; or a folder, all of whose
    /// <c>.parquet</c> files are read. Several files are the shards of one data set, read in ordinal order of their
    /// names.</param>
    /// <param name="report">Counts the rows read and dropped.</param>
    /// <param name="badRows">Whether bad rows are skipped and counted, or refused.</param>
    /// <param name="columns">Under which names the files have fields, where they have them under others; see
    /// <see cref="PreferenceJsonLines"/>.</param>
    /// <exception cref="InvalidInputException">There is no such file; a folder holds several data sets or lacks a shard; a file
    /// is no Parquet, is damaged, has a field's column of a type that cannot be read or lacks one that was named; the rows are in
    /// no known form; or a bad row is refused. What is wrong further on shows while reading.</exception>
    public static IEnumerable<PreferenceExample> Read(
        string path, DataReport report, BadRows badRows = BadRows.Skip, IReadOnlyDictionary<string, string>? columns = null)
    {
        var names = ColumnNames.OfPreferences(columns);
        return PreferenceFile.Read(path, ParquetRows.Read(ParquetShards.Find(path), names, report), names, report, badRows);
    }

    /// <summary>Reads rows of a form of your own: a function makes an example of each; all columns are read.</summary>
    /// <param name="path">As above.</param>
    /// <param name="report">Counts the rows read and dropped.</param>
    /// <param name="example">Makes an example of a row; see <see cref="PreferenceJsonLines"/>.</param>
    /// <param name="badRows">Whether bad rows are skipped and counted, or refused.</param>
    /// <exception cref="InvalidInputException">As above.</exception>
    public static IEnumerable<PreferenceExample> Read(
        string path, DataReport report, Func<JsonElement, PreferenceExample> example, BadRows badRows = BadRows.Skip)
    {
        ArgumentNullException.ThrowIfNull(example);
        return JsonRows.Read(
            ParquetRows.Read(ParquetShards.Find(path), ColumnNames.None, report), ColumnNames.None, report, badRows,
            PreferenceJsonLines.Own(example));
    }
}
