using System.Globalization;

namespace Dpo.Tests;

public class TrainingPaceTests
{
    [Fact]
    public void A_step_has_its_pace_apart_from_its_metrics()
    {
        var data = TrainerTests.Data(24);
        using var pair = new PolicyReferencePair(new Gpt2(TrainerTests.Shape, seed: 5));
        using var trainer = new DpoTrainer(pair, options: TrainerTests.Options with { Shuffle = false, Steps = 5 });
        var steps = new List<TrainingMetrics>();
        trainer.Train(data, heldOut: data, new Recorder(steps));

        var batches = Enumerable.Repeat(data, 5).SelectMany(epoch => epoch.Batches(16));
        foreach (var (step, batch) in steps.Zip(batches))
        {
            var pace = step.Pace!;
            // Tokens and examples are over the same time, which the evaluation after the last step is no part of.
            Numbers.AssertClose((double)batch.SequenceTokenCount / batch.Examples.Count, pace.TokensPerSecond / pace.ExamplesPerSecond, 1e-9, "ratio");
            Assert.True(batch.Examples.Count / pace.ExamplesPerSecond <= step.Elapsed.TotalSeconds);
            Assert.DoesNotContain(step.Values.Keys, name => name.Contains("second", StringComparison.Ordinal));
        }
        Assert.Equal([false, false, false, false, true], steps.Select(step => step.Pace!.Remaining == TimeSpan.Zero));
        // The mean step so far, times those to come, is at least what this step alone has taken where it is the first.
        Assert.True(steps[0].Pace!.Remaining >= steps[0].Elapsed * 4 * 0.99);
        Assert.Equal(steps.Select(step => step.Pace!.PeakMemoryBytes).Order(), steps.Select(step => step.Pace!.PeakMemoryBytes));
        if (File.Exists("/proc/self/status"))
        {
            var line = File.ReadLines("/proc/self/status").Single(line => line.StartsWith("VmHWM:", StringComparison.Ordinal));
            var now = 1024 * long.Parse(line[6..^2], NumberStyles.AllowLeadingWhite | NumberStyles.AllowTrailingWhite, CultureInfo.InvariantCulture);
            Assert.InRange(steps[^1].Pace!.PeakMemoryBytes, now / 4, now);
        }
    }
}
