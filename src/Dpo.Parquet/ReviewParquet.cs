using Dpo.Data;

namespace Dpo.Parquet;

/// <summary>Reads the IMDb reviews out of Parquet files with <c>text</c> and <c>label</c>, as <see cref="ReviewFile"/> does out
/// of JSON Lines.</summary>
public static class ReviewParquet
{
    /// <summary>Reads the reviews one by one.</summary>
    /// <inheritdoc cref="PreferenceParquet"/>
    public static IEnumerable<Review> Read(
        string path, DataReport report, BadRows badRows = BadRows.Skip, IReadOnlyDictionary<string, string>? columns = null)
    {
        var names = ColumnNames.OfReviews(columns);
        return JsonRows.Read(ParquetRows.Read(ParquetShards.Find(path), names, report), names, report, badRows, ReviewFile.Parse);
    }
}
