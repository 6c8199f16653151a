using System.Text.Json;

namespace Dpo;

/// <summary>Files with one JSON object a line, each with its <c>step</c>, that a resumed run goes on with.</summary>
internal static class StepLines
{
    /// <summary>Opens a file behind the lines of the steps that stay, and cuts the rest off.</summary>
    /// <param name="path">The file; it is made where it is missing.</param>
    /// <param name="lastStep">The last step that stays; null for none.</param>
    /// <param name="isComplete">Whether every step has a line, so that one that is missing is refused, unless all are.</param>
    public static StreamWriter Open(string path, int? lastStep, bool isComplete)
    {
        var stream = new FileStream(path, lastStep is null ? FileMode.Create : FileMode.OpenOrCreate, FileAccess.ReadWrite, FileShare.Read);
        if (lastStep is { } last && stream.Length > 0)
        {
            var (length, step) = Kept(stream, last, isComplete);
            if (isComplete && step < last)
            {
                stream.Dispose();
                throw Missing(path, step, last);
            }
            stream.SetLength(length);
            stream.Position = length;
        }
        return new StreamWriter(stream) { AutoFlush = true, NewLine = "\n" };
    }

    /// <summary>Says that a file lacks steps before the checkpoint.</summary>
    public static InvalidInputException Missing(string path, int step, int last) => new(
        $"{path} ends after step {step}, but the checkpoint was written after step {last}; move the file away to go on without the lines before.");

    /// <summary>How many bytes the whole lines of steps up to the last one take, and the last step among them. A line that was being
    /// written when the run was killed is not whole; nor does a complete file leave a step out.</summary>
    private static (long Length, int Step) Kept(FileStream stream, int last, bool isComplete)
    {
        var bytes = new byte[stream.Length];
        stream.ReadExactly(bytes);
        var (length, lastKept) = (0, 0);
        while (Array.IndexOf(bytes, (byte)'\n', length) is var end and >= 0)
        {
            try
            {
                var step = JsonDocument.Parse(bytes.AsMemory(length..end)).RootElement.GetProperty("step").GetInt32();
                if (step > last || (isComplete && length > 0 && step != lastKept + 1))
                    break;
                lastKept = step;
            }
            catch (Exception e) when (e is JsonException or KeyNotFoundException or InvalidOperationException or FormatException)
            {
                break;
            }
            length = end + 1;
        }
        return (length, lastKept);
    }
}
