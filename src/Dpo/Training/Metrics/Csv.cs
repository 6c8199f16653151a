using System.Globalization;
using System.Text;

namespace Dpo.Training.Metrics;

/// <summary>Writes tables as RFC 4180 says: commas, lines that end in CR LF, fields in quotes where they need them.</summary>
internal static class Csv
{
    /// <summary>A line of fields that are written already.</summary>
    public static string Line(IEnumerable<string> fields) => string.Join(',', fields) + "\r\n";

    /// <summary>A text.</summary>
    public static string Field(string text) => text.AsSpan().ContainsAny(",\"\r\n")
        ? new StringBuilder(text).Replace("\"", "\"\"").Insert(0, '"').Append('"').ToString()
        : text;

    /// <summary>A number, which reads back to the bit, with a point in any culture; nothing for null.</summary>
    public static string Field(double? number) => number?.ToString("r", CultureInfo.InvariantCulture) ?? "";
}
