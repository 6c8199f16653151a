using System.Text.Json;

namespace Dpo.Training.Metrics;

/// <summary>Files with one JSON object a line, each with its <c>step</c>, that a resumed run goes on with.</summary>
internal static class StepLines
{
    /// <summary>A file that goes on behind the lines of the steps that stay.</summary>
    /// <param name="path">The file; it need not be there.</param>
    /// <param name="lastStep">The last step that stays; null for none.</param>
    /// <param name="isComplete">Whether every step has a line, so that one that is missing is refused, unless all are.</param>
    public static GrowingFile Open(string path, int? lastStep, bool isComplete)
    {
        if (lastStep is not { } last || !File.Exists(path))
            return new GrowingFile(path);
        using var stream = new FileStream(path, FileMode.Open, FileAccess.Read, FileShare.ReadWrite, 1 << 16);
        if (stream.Length == 0)
            return new GrowingFile(path);
        var (length, step) = Kept(stream, last, isComplete);
        return isComplete && step < last ? throw Missing(path, step, last) : new GrowingFile(path, length);
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

    /// <summary>Says that a file lacks steps before the one that the run goes on behind.</summary>
    public static InvalidInputException Missing(string path, int step, int last) => new(
        $"{path} ends after step {step}, but the checkpoint was written after step {last}; " +
        "move the file away to go on without the lines before.");

    /// <summary>How many bytes the whole lines of steps up to the last one take, and the last step among them. A line that was
    /// being written when the run was killed is not whole; nor does a complete file leave a step out.</summary>
    private static (long Length, int Step) Kept(FileStream stream, int last, bool isComplete)
    {
        using var line = new MemoryStream();
        var (length, lastKept) = (0L, 0);
        while (ReadLine(stream, line))
        {
            try
            {
                line.Position = 0;
                using var json = JsonDocument.Parse(line);
                var step = json.RootElement.GetProperty("step").GetInt32();
                if (step > last || (isComplete && length > 0 && step != lastKept + 1))
                    break;
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

    /// <summary>Reads a line that has an end.</summary>
    private static bool ReadLine(FileStream stream, MemoryStream line)
    {
        line.SetLength(0);
        for (var read = stream.ReadByte(); read >= 0; read = stream.ReadByte())
        {
            if (read == '\n')
                return true;
            line.WriteByte((byte)read);
        }
        return false;
    }
}
