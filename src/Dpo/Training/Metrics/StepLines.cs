using System.Text.Json;
using System.Text.Json.Serialization;

namespace Dpo.Training.Metrics;

/// <summary>Files with one JSON object a line, each with its <c>step</c>, that a resumed run goes on with.</summary>
internal static class StepLines
{
    /// <summary>How numbers are written: what is not finite, for which JSON has none, is the string "NaN", "Infinity" or
    /// "-Infinity".</summary>
    public static JsonSerializerOptions Style { get; } =
        new() { NumberHandling = JsonNumberHandling.AllowNamedFloatingPointLiterals };

    /// <summary>A file that goes on behind the lines of the steps that stay.</summary>
    /// <param name="path">The file; it need not be there.</param>
    /// <param name="lastStep">The last step that stays; null for none.</param>
    /// <param name="isComplete">Whether every step has a line of nothing but numbers, so that one that is missing is refused,
    /// unless all are.</param>
    public static GrowingFile Open(string path, int? lastStep, bool isComplete)
    {
        if (lastStep is not { } last || !File.Exists(path))
            return new GrowingFile(path);
        using var stream = new FileStream(path, FileMode.Open, FileAccess.Read, FileShare.ReadWrite, 1 << 16);
        if (stream.Length == 0)
            return new GrowingFile(path);
        var (length, step) = Kept(stream, last, isComplete);
        return isComplete && step < last
            ? throw new InvalidInputException(
                $"{path} ends after step {step}, but the checkpoint was written after step {last}; " +
                "move the file away to go on without the lines before.")
            : new GrowingFile(path, length);
    }

    /// <summary>Appends objects, a line each.</summary>
    public static void Append<T>(GrowingFile file, IEnumerable<T> values, JsonSerializerOptions? style = null)
    {
        using var lines = new MemoryStream();
        foreach (var value in values)
        {
            JsonSerializer.Serialize(lines, value, style);
            lines.WriteByte((byte)'\n');
        }
        file.Append(lines.ToArray());
    }

    /// <summary>The whole lines, each valid until the next; one that was being written when the run was killed has no
    /// end.</summary>
    public static IEnumerable<ReadOnlyMemory<byte>> Whole(Stream stream)
    {
        using var line = new MemoryStream();
        for (var read = stream.ReadByte(); read >= 0; read = stream.ReadByte())
        {
            if (read != '\n')
            {
                line.WriteByte((byte)read);
                continue;
            }
            yield return line.GetBuffer().AsMemory(0, (int)line.Length);
            line.SetLength(0);
        }
    }

    /// <summary>The numbers of a line, by name.</summary>
    /// <exception cref="JsonException">It is no object of numbers.</exception>
    public static Dictionary<string, double> Numbers(ReadOnlySpan<byte> line) =>
        JsonSerializer.Deserialize<Dictionary<string, double>>(line, Style) ?? throw new JsonException();

    /// <summary>How many bytes the whole lines of steps up to the last one take, and the last step among them. A complete file
    /// leaves no step out.</summary>
    private static (long Length, int Step) Kept(FileStream stream, int last, bool isComplete)
    {
        var (length, lastKept) = (0L, 0);
        foreach (var line in Whole(stream))
        {
            try
            {
                using var json = JsonDocument.Parse(line);
                var step = json.RootElement.GetProperty("step").GetInt32();
                if (step > last || (isComplete && length > 0 && step != lastKept + 1))
                    break;
                if (isComplete)
                    Numbers(line.Span);
                lastKept = step;
            }
            catch (Exception e) when (e is JsonException or KeyNotFoundException or InvalidOperationException or FormatException)
            {
                break;
            }
            length = stream.Position;
        }
        return (length, lastKept);
    }
}
