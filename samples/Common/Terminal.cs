using Spectre.Console;

namespace Dpo.Samples;

/// <summary>What a person sees while a program runs: a progress display on a terminal, plain lines where output is redirected.</summary>
internal static class Terminal
{
    /// <summary>Writes a line.</summary>
    public static void Line(string text) => Console.WriteLine(text);

    /// <summary>Shows the steps of a training run, and writes them to files where there are any.</summary>
    /// <param name="title">What is trained.</param>
    /// <param name="files">Where the metrics go.</param>
    /// <param name="train">The run; it is given what to report to.</param>
    public static void Train(string title, MetricsFile files, Action<IProgress<TrainingMetrics>> train)
    {
        if (Console.IsOutputRedirected)
            train(new Reports(files, metrics =>
            {
                if (metrics.Step == 1 || metrics.Step == metrics.TotalSteps || metrics.Step % Math.Max(1, metrics.TotalSteps / 20) == 0)
                    Line($"{title} {metrics.Step}/{metrics.TotalSteps}  {Summary(metrics)}");
            }));
        else
            AnsiConsole.Progress()
                .Columns(new TaskDescriptionColumn { Alignment = Justify.Left }, new ProgressBarColumn(), new RemainingTimeColumn())
                .Start(context =>
                {
                    var task = context.AddTask(title);
                    train(new Reports(files, metrics =>
                    {
                        task.MaxValue = metrics.TotalSteps;
                        task.Value = metrics.Step;
                        task.Description = $"{title} {metrics.Step}/{metrics.TotalSteps}  {Summary(metrics)}";
                    }));
                });
    }

    private static string Summary(TrainingMetrics metrics)
    {
        var text = $"loss {metrics["loss"]:0.0000}";
        if (metrics.Values.TryGetValue("rewards/margins", out var margin))
            text += $"  margin {margin:0.000}";
        if (metrics.Values.TryGetValue("rewards/accuracies", out var accuracy))
            text += $"  accuracy {accuracy:0.00}";
        if (metrics.Values.TryGetValue("eval_loss", out var evalLoss))
            text += $"  held-out loss {evalLoss:0.0000}";
        if (metrics.Values.TryGetValue("eval_rewards/accuracies", out var evalAccuracy))
            text += $"  held-out accuracy {evalAccuracy:0.00}";
        return $"{text}  {metrics.Elapsed.TotalSeconds:0.00} s";
    }

    private sealed class Reports(MetricsFile files, Action<TrainingMetrics> show) : IProgress<TrainingMetrics>
    {
        public void Report(TrainingMetrics value)
        {
            files.Report(value);
            show(value);
        }
    }
}
