namespace Dpo.Data;

/// <summary>A row of a file, as JSON: a line of JSON Lines, or what another kind of file was turned into.</summary>
/// <param name="Json">What ought to be a JSON object in UTF-8. Valid until the next row is read.</param>
/// <param name="Path">The file.</param>
/// <param name="Number">The number of the line or row, from 1.</param>
internal readonly record struct JsonRow(ReadOnlyMemory<byte> Json, string Path, long Number)
{
    /// <summary>What examples carry along: <c>train.jsonl:12</c>.</summary>
    public string Source => $"{System.IO.Path.GetFileName(Path)}:{Number}";

    /// <summary>What messages name: the source with the file's whole path.</summary>
    public string Place => $"{Path}:{Number}";
}
