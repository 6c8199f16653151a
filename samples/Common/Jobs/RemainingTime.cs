namespace Dpo.Samples;

/// <summary>How far a job is.</summary>
/// <param name="Job">The job.</param>
/// <param name="Share">The share of it that is done, from 0 to 1.</param>
/// <param name="Elapsed">How long it took so far; null before its beginning.</param>
/// <param name="Kept">The share that an earlier start had done, which took no time of this one.</param>
internal sealed record JobState(Job Job, double Share, TimeSpan? Elapsed, double Kept = 0)
{
    /// <summary>The share that took the time.</summary>
    public double Made => Share - Kept;
}

/// <summary>How long a plan will take: what is left of it is laid out as <see cref="JobRunner"/> would begin it.</summary>
internal static class RemainingTime
{
    // From here on a job's own pace says more of it than other jobs' does.
    private const double OwnPace = 0.2;

    /// <summary>The time until the last of the jobs ends; null before anything is known.</summary>
    /// <param name="jobs">The jobs that end well or are yet to; in the order in which they begin.</param>
    /// <param name="sideBySide">How many run at once.</param>
    public static TimeSpan? Of(IReadOnlyList<JobState> jobs, int sideBySide)
    {
        var (seconds, done) = (0.0, 0.0);
        foreach (var state in jobs.Where(state => state.Elapsed is not null && state.Made > 0))
            (seconds, done) = (seconds + state.Elapsed!.Value.TotalSeconds, done + (state.Made * state.Job.Cost));
        return done > 0 ? TimeSpan.FromSeconds(Layout(jobs, sideBySide, seconds / done)) : null;
    }

    private static double Layout(IReadOnlyList<JobState> jobs, int sideBySide, double pace)
    {
        var ends = new Dictionary<string, double>();
        foreach (var state in jobs.Where(state => state.Elapsed is not null))
            ends[state.Job.Name] = Left(state, pace);
        var free = new PriorityQueue<double, double>(
            ends.Values.OrderDescending().Concat(Enumerable.Repeat(0.0, sideBySide)).Take(sideBySide).Select(end => (end, end)));
        var waiting = jobs.Where(state => state.Elapsed is null).ToList();
        while (waiting.Count > 0)
        {
            var core = free.Dequeue();
            double Begin(JobState state) => state.Job.After.Select(name => EndOf(name)).Append(core).Max();
            var next = waiting.MinBy(Begin)!; // of equal ones the first
            var end = Begin(next) + Left(next, pace);
            ends[next.Job.Name] = end;
            free.Enqueue(end, end);
            waiting.Remove(next);
        }
        return ends.Values.DefaultIfEmpty().Max();

        double EndOf(string name) => waiting.Exists(other => other.Job.Name == name)
            ? double.PositiveInfinity
            : ends.GetValueOrDefault(name);
    }

    private static double Left(JobState state, double pace) => state is { Elapsed: { } elapsed, Made: >= OwnPace }
        ? elapsed.TotalSeconds * (1 - state.Share) / state.Made
        : state.Job.Cost * (1 - state.Share) * pace;
}
