namespace Dpo.Samples;

/// <summary>Runs the jobs of a plan, several side by side. One that fails takes those that wait for it along, and no
/// other.</summary>
/// <param name="jobs">What is to be done, in the order in which jobs begin where they can.</param>
/// <param name="sideBySide">How many run at once.</param>
/// <param name="arguments">This program's arguments.</param>
/// <param name="ended">What a person is told of a job that ended well; called on this thread.</param>
internal sealed class JobRunner(
    IReadOnlyList<Job> jobs, int sideBySide, IReadOnlyList<string> arguments, Func<Job, string> ended)
{
    private static readonly TimeSpan betweenLooks = TimeSpan.FromMilliseconds(100);

    private readonly List<Job> waiting = [.. jobs];
    private readonly List<JobProcess> running = [];
    private readonly Dictionary<string, (TimeSpan Time, double Kept)> done = [];
    private readonly Dictionary<string, JobProcess> failed = [];
    private bool isStopping;

    /// <summary>Whether one of them has found its input good, or has ended well.</summary>
    public bool HasBegun { get; private set; }

    /// <summary>Runs them all.</summary>
    /// <param name="begun">Called once, as soon as a job has found its input good and made a step, or has ended well; it is given
    /// the names of those that run, and of those that have ended well.</param>
    /// <param name="cancellationToken">Has the jobs that run end between two steps, and begins no other.</param>
    /// <exception cref="OperationCanceledException">It was cancelled.</exception>
    /// <exception cref="InvalidInputException">No job could use its input.</exception>
    /// <exception cref="RunFailedException">A job failed; all others that could be done were.</exception>
    public void Run(Action<IReadOnlyList<string>, IReadOnlyList<string>> begun, CancellationToken cancellationToken)
    {
        var display = JobDisplay.Create();
        display.Start(() =>
        {
            while (Begin(cancellationToken))
            {
                Thread.Sleep(betweenLooks);
                foreach (var process in running.ToArray())
                    Look(process, display, cancellationToken);
                if (!HasBegun && (done.Count > 0 || running.Any(process => process.Progress is not null)))
                {
                    begun([.. running.Select(process => process.Job.Name)], [.. done.Keys]);
                    HasBegun = true;
                }
                display.Show(running, done.Count, jobs.Count, Remaining);
            }
        });
        if (cancellationToken.IsCancellationRequested)
            throw new OperationCanceledException(
                "Stopped. What has ended is kept; the same command, without --overwrite, goes on with the rest.",
                cancellationToken);
        if (failed.Count > 0)
            throw Failure();
    }

    private bool Begin(CancellationToken cancellationToken)
    {
        if (cancellationToken.IsCancellationRequested)
            waiting.Clear();
        waiting.RemoveAll(job => job.After.Any(failed.ContainsKey));
        foreach (var job in waiting.Where(CanBegin).Take(sideBySide - running.Count).ToArray())
        {
            waiting.Remove(job);
            running.Add(new JobProcess(job, arguments, Math.Max(1, Environment.ProcessorCount / sideBySide)));
        }
        return running.Count > 0;
    }

    private bool CanBegin(Job job) => !job.After.Any(name =>
        waiting.Any(other => other.Name == name) || running.Any(other => other.Job.Name == name));

    private void Look(JobProcess process, JobDisplay display, CancellationToken cancellationToken)
    {
        var exitCode = process.ExitCode; // before its lines: what it wrote until then has come
        foreach (var line in process.Read())
            display.Line($"{process.Job.Name}: {line}");
        if (exitCode is null)
        {
            if (cancellationToken.IsCancellationRequested && !isStopping)
                running.ForEach(other => other.Stop());
            isStopping = cancellationToken.IsCancellationRequested;
            return;
        }
        running.Remove(process);
        if (exitCode != 0)
        {
            failed[process.Job.Name] = process;
            if (!cancellationToken.IsCancellationRequested)
                display.Line($"{process.Job.Name} failed: {process.Error}");
            return;
        }
        done[process.Job.Name] = (process.Elapsed, process.Kept);
        var left = done.Count == jobs.Count ? "" : $", {JobDisplay.Standing(done.Count, jobs.Count, Remaining())}";
        display.Line($"{process.Job.Name}: {ended(process.Job)} ({process.Elapsed.TotalSeconds:0} s{left})");
        process.Dispose();
    }

    private TimeSpan? Remaining() => RemainingTime.Of(
    [
        .. jobs.Where(job => done.ContainsKey(job.Name))
            .Select(job => new JobState(job, 1, done[job.Name].Time, done[job.Name].Kept)),
        .. running.Select(process => new JobState(process.Job, process.Progress?.Share ?? 0, process.Elapsed, process.Kept)),
        .. waiting.Select(job => new JobState(job, 0, null)),
    ], sideBySide);

    private Exception Failure()
    {
        var first = failed.Values.First();
        if (done.Count == 0 && failed.Values.All(process => process.ExitCode == 2))
            return new InvalidInputException(first.Error);
        return new RunFailedException(
            $"{failed.Count} of {jobs.Count} failed, the first of them {first.Job.Name}: {first.Error} What ended well is " +
            "kept; the same command, without --overwrite, runs the rest.", null);
    }
}
