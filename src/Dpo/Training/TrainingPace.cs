using System.Diagnostics;
using Dpo.Batching;

namespace Dpo.Training;

/// <summary>How fast a run goes and what it takes. All of it differs from run to run, so it stands apart from the
/// metrics.</summary>
/// <param name="ExamplesPerSecond">Examples of the step, a pair or all completions of a prompt each, over the step's
/// time.</param>
/// <param name="TokensPerSecond">Tokens of the step over its time, counted as <c>num_tokens</c> counts them: no padding, and the
/// prompt once for each of its completions, however often it was computed.</param>
/// <param name="Remaining">How long the rest of the run will take if it goes on as it did so far, evaluations included.</param>
/// <param name="PeakMemoryBytes">The most memory the process had resident until now (VmHWM on Linux); 0 where the system does not
/// say. A GPU's memory is not part of it: TorchSharp reaches none of the allocator's figures.</param>
public sealed record TrainingPace(double ExamplesPerSecond, double TokensPerSecond, TimeSpan Remaining, long PeakMemoryBytes);

/// <summary>Takes the time of a run.</summary>
/// <param name="steps">The steps it is to make.</param>
internal sealed class PaceClock(int steps)
{
    private readonly Stopwatch run = Stopwatch.StartNew();
    private int done;

    /// <summary>The pace after a further step.</summary>
    /// <param name="batch">What the step trained on.</param>
    /// <param name="time">How long it took, without evaluation.</param>
    public TrainingPace After(PreferenceBatch batch, TimeSpan time)
    {
        done++;
        using var process = Process.GetCurrentProcess();
        return new TrainingPace(
            batch.Examples.Count / time.TotalSeconds, batch.SequenceTokenCount / time.TotalSeconds,
            run.Elapsed * ((double)(steps - done) / done), process.PeakWorkingSet64);
    }
}
