using System.Diagnostics;
using Spectre.Console;
using Progress = Dpo.Training.Metrics.Progress;

namespace Dpo.Samples;

/// <summary>What a person sees while a program runs: a progress display on a terminal, plain lines where output is
/// redirected.</summary>
internal static class Terminal
{
    private static readonly TimeSpan betweenDrawings = TimeSpan.FromMilliseconds(250);

    /// <summary>The terminal with a display on it, above which lines are to go.</summary>
    private static IAnsiConsole? drawnOn;

    /// <summary>Whether another process of this program started this one, and shows what it does.</summary>
    public static bool IsJob { get; set; }

    /// <summary>Writes a line.</summary>
    public static void Line(string text)
    {
        if (drawnOn is { } terminal)
            terminal.WriteLine(text);
        else
            Console.WriteLine(text);
    }

    /// <summary>Shows the steps of a training run, and passes them on.</summary>
    /// <param name="title">What is trained.</param>
    /// <param name="files">Where the metrics go.</param>
    /// <param name="train">The run; it is given what to report to.</param>
    public static void Train(string title, IProgress<TrainingMetrics> files, Action<IProgress<TrainingMetrics>> train)
    {
        if (IsJob)
            train(Progress.All(files, new Shown(metrics =>
                Line($"{new JobProgress(title, metrics.Step, metrics.TotalSteps, Figures(metrics))}"))));
        else if (Console.IsOutputRedirected)
            train(Progress.All(files, new Shown(metrics =>
            {
                if (metrics.Step == 1 || metrics.Step == metrics.TotalSteps
                    || metrics.Step % Math.Max(1, metrics.TotalSteps / 20) == 0)
                    Line($"{title} {metrics.Step}/{metrics.TotalSteps}  {Summary(metrics)}");
            })));
        else
            Draw(AnsiConsole.Console, title, files, train);
    }

    /// <summary>Draws a bar with the last step's figures whenever a step is reported, a few times a second at most, and after the
    /// last. A display that drew by itself would do so on a thread of its own, and allocate there while this one
    /// computes.</summary>
    internal static void Draw(
        IAnsiConsole console, string title, IProgress<TrainingMetrics> files, Action<IProgress<TrainingMetrics>> train)
    {
        var figures = "";
        drawnOn = console;
        try
        {
            console.Progress()
                .AutoRefresh(false)
                .Columns(new TaskDescriptionColumn { Alignment = Justify.Left }, new ProgressBarColumn())
                .UseRenderHook((bar, _) => new Rows(bar, new Text(figures)))
                .Start(context =>
                {
                    var task = context.AddTask(title);
                    context.Refresh();
                    var drawn = Stopwatch.StartNew();
                    train(Progress.All(files, new Shown(metrics =>
                    {
                        task.MaxValue = metrics.TotalSteps;
                        task.Value = metrics.Step;
                        task.Description = $"{title} {metrics.Step}/{metrics.TotalSteps}";
                        figures = Summary(metrics);
                        if (drawn.Elapsed < betweenDrawings)
                            return;
                        context.Refresh();
                        drawn.Restart();
                    })));
                });
        }
        finally
        {
            drawnOn = null;
        }
    }

    private static string Figures(TrainingMetrics metrics)
    {
        var text = $"loss {metrics["loss"]:0.0000}";
        if (metrics.Values.TryGetValue("rewards/margins", out var margin))
            text += $"  margin {margin:0.000}";
        if (metrics.Values.TryGetValue("rewards/accuracies", out var accuracy))
            text += $"  accuracy {accuracy:0.00}";
        if (metrics.Values.TryGetValue("objective/scores", out var score))
            text += $"  reward {score:0.000}";
        if (metrics.Values.TryGetValue("objective/kl", out var kl))
            text += $"  KL {kl:0.00}";
        if (metrics.Values.TryGetValue("eval_loss", out var evalLoss))
            text += $"  held-out loss {evalLoss:0.0000}";
        if (metrics.Values.TryGetValue("eval_rewards/accuracies", out var evalAccuracy))
            text += $"  held-out accuracy {evalAccuracy:0.00}";
        return text;
    }

    private static string Summary(TrainingMetrics metrics)
    {
        var text = $"{Figures(metrics)}  {metrics.Elapsed.TotalSeconds:0.00} s";
        if (metrics.Pace is { } pace)
        {
            text +=
                $"  {pace.ExamplesPerSecond:0.0} examples/s  {pace.TokensPerSecond:0} tokens/s  " +
                $"{pace.PeakMemoryBytes / 1e9:0.0} GB";
            if (metrics.Step < metrics.TotalSteps)
                text += $"  {(int)pace.Remaining.TotalHours}:{pace.Remaining:mm\\:ss} left";
        }
        return text;
    }
}
