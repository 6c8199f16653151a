namespace Dpo.Optimizers;

/// <summary>The learning rate as a plain function: what to multiply it by at a step.</summary>
/// <param name="step">The optimizer step, from 0.</param>
/// <param name="totalSteps">Steps of the whole run.</param>
public delegate double LearningRateSchedule(int step, int totalSteps);

/// <summary>The schedules of the paper and of the systems it is compared with. One of your own is a function:
/// <c>Schedule = (step, totalSteps) => 1 / Math.Sqrt(step + 1.0)</c>.</summary>
/// <remarks>Steps count from 0 and are optimizer steps, whatever micro-batches they are cut into.</remarks>
public static class LearningRateSchedules
{
    /// <summary>The paper's code: min(1, (step + 1) / (warmup + 1)), then constant. Warm-up 0 is a constant rate.</summary>
    /// <param name="warmupSteps">Steps whose rate is less than whole; the paper has 150.</param>
    public static LearningRateSchedule Paper(int warmupSteps) => (step, _) => Math.Min(1, (step + 1.0) / (warmupSteps + 1.0));

    /// <summary>TRL's <c>constant_with_warmup</c>: min(1, step / warmup), so the first update of a warm-up changes
    /// nothing.</summary>
    /// <param name="warmupSteps">Steps until the whole rate; 0 is TRL's <c>constant</c>.</param>
    public static LearningRateSchedule TrlConstant(int warmupSteps) => (step, _) => Rise(step, warmupSteps);

    /// <summary>TRL's <c>linear</c>: the same warm-up, then down to 0 at the end of the run: the last step, whose number is
    /// one less than their count, is still above 0.</summary>
    /// <param name="warmupSteps">Steps until the whole rate.</param>
    public static LearningRateSchedule Linear(int warmupSteps) => (step, totalSteps) =>
        step < warmupSteps ? Rise(step, warmupSteps) : 1 - Progress(step, warmupSteps, totalSteps);

    /// <summary>TRL's <c>cosine</c>: the same warm-up, then half a cosine down to 0 at the end of the run, likewise.</summary>
    /// <param name="warmupSteps">Steps until the whole rate.</param>
    public static LearningRateSchedule Cosine(int warmupSteps) => (step, totalSteps) =>
        step < warmupSteps ? Rise(step, warmupSteps) : 0.5 * (1 + Math.Cos(Math.PI * Progress(step, warmupSteps, totalSteps)));

    private static double Rise(int step, int warmupSteps) => step < warmupSteps ? (double)step / warmupSteps : 1;

    private static double Progress(int step, int warmupSteps, int totalSteps) =>
        Math.Min(1, (double)(step - warmupSteps) / Math.Max(1, totalSteps - warmupSteps));
}
