using System.Diagnostics;
using Spectre.Console;
using Spectre.Console.Rendering;

namespace Dpo.Samples;

/// <summary>What a person sees of jobs: on a terminal a table of those that run, below the lines of those that ended; else the
/// lines alone.</summary>
internal sealed class JobDisplay(IAnsiConsole? terminal)
{
    private static readonly TimeSpan betweenDrawings = TimeSpan.FromMilliseconds(500);

    private readonly Stopwatch drawn = Stopwatch.StartNew();
    private LiveDisplayContext? context;

    /// <summary>One for this process's output.</summary>
    public static JobDisplay Create() => new(Console.IsOutputRedirected ? null : AnsiConsole.Console);

    /// <summary>Keeps the table on the terminal while something runs.</summary>
    public void Start(Action body)
    {
        if (terminal is null)
        {
            body();
            return;
        }
        terminal.Live(new Text("")).AutoClear(true).Start(live =>
        {
            context = live;
            body();
        });
    }

    /// <summary>Writes a line above the table.</summary>
    public void Line(string text)
    {
        if (terminal is null)
            Console.WriteLine(text);
        else
            terminal.WriteLine(text.PadRight(terminal.Profile.Width - 1)); // over what the table leaves there
    }

    /// <summary>Draws the table anew, twice a second at most.</summary>
    public void Show(IReadOnlyList<JobProcess> running, int done, int total, Func<TimeSpan?> remaining)
    {
        if (context is null || drawn.Elapsed < betweenDrawings)
            return;
        context.UpdateTarget(
            Table([.. running.Select(process => (process.Job.Name, process.Progress))], done, total, remaining()));
        drawn.Restart();
    }

    /// <summary>The table.</summary>
    internal static IRenderable Table(
        IReadOnlyList<(string Job, JobProgress? Progress)> running, int done, int total, TimeSpan? remaining)
    {
        var table = new Table().AddColumns("run", "step", "", "figures");
        foreach (var (job, progress) in running)
        {
            table.AddRow(
                new Text(job), new Text(progress is null ? "begins" : $"{progress.Stage} {progress.Step}/{progress.TotalSteps}"),
                new Text(progress is null ? "" : $"{100 * progress.Share:0} %"), new Text(progress?.Figures ?? ""));
        }
        return new Rows(table, new Text(Standing(done, total, remaining)));
    }

    /// <summary>How far all of it is, in words.</summary>
    public static string Standing(int done, int total, TimeSpan? remaining) =>
        $"{done} of {total} ended" + (remaining is { } time ? $", {(int)time.TotalHours}:{time:mm\\:ss} left" : "");
}
