namespace Dpo.Training.Metrics;

/// <summary>Reports to several places.</summary>
public static class Progress
{
    /// <summary>
    /// Passes every report on to all, in order, on the calling thread:
    /// <code>
    /// using var file = new MetricsFile(folder);
    /// using var board = new TensorBoardFile(folder);
    /// trainer.Train(data, progress: Progress.All(file, board));
    /// </code>
    /// What one throws ends the report, and reaches who reported.
    /// </summary>
    /// <param name="receivers">Who is told; they stay the caller's to dispose.</param>
    public static IProgress<T> All<T>(params IReadOnlyList<IProgress<T>> receivers)
    {
        ArgumentNullException.ThrowIfNull(receivers);
        return new Several<T>(receivers);
    }

    private sealed class Several<T>(IReadOnlyList<IProgress<T>> receivers) : IProgress<T>
    {
        public void Report(T value)
        {
            foreach (var receiver in receivers)
                receiver.Report(value);
        }
    }
}
