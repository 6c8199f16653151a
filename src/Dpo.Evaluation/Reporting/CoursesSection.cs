namespace Dpo.Evaluation.Reporting;

/// <summary>How the metrics of every stage went, a figure for those that belong together.</summary>
internal static class CoursesSection
{
    /// <summary>Which metrics are drawn, those of a figure together, and whether on held-out data too.</summary>
    private static readonly (string Name, string Caption, string Axis, string[] Metrics, bool HeldOut)[] panels =
    [
        ("loss", "The loss of each step. Of very many steps neighbours are averaged, here and below.", "loss", ["loss"], true),
        ("margins", "Margins of rewards, a policy's implicit ones or a reward model's: chosen less rejected.", "margin",
            ["rewards/margins", "margin"], true),
        ("accuracies", "Accuracy: how often the chosen completion has the higher reward.", "accuracy",
            ["rewards/accuracies", "accuracy"], true),
        ("implicit-rewards", "Implicit rewards β·log(π/π_ref) of chosen and rejected completions.", "reward",
            ["rewards/chosen", "rewards/rejected"], false),
        ("log-probabilities",
            "Log-probabilities of chosen and rejected completions under the policy. Both may fall while the margin grows.",
            "nats", ["logps/chosen", "logps/rejected"], false),
        ("kl", "KL of the policy's own completions from the reference.", "nats", ["objective/kl"], false),
        ("scores", "The reward of the policy's own completions.", "reward", ["objective/scores"], false),
        ("lengths", "Tokens of the policy's own completions.", "tokens", ["length"], false),
        ("entropy", "Entropy of the policy's next token.", "nats", ["entropy"], false),
        ("value-loss", "PPO's loss of the values.", "loss", ["value_loss"], false),
        ("clip-fraction", "The share of tokens whose loss PPO clips, and that of states whose value's loss it clips.", "share",
            ["clip_fraction", "value_clip_fraction"], false),
        ("gradient-norm", "The gradient's norm before it is clipped.", "norm", ["grad_norm"], false),
    ];

    /// <summary>The names of all figures that there may be.</summary>
    public static IEnumerable<string> FigureNames => panels.Select(panel => panel.Name);

    /// <summary>Adds those of which the stages have something, or says that there are none.</summary>
    public static void Add(Page page, List<Figure> figures, IReadOnlyList<ReportedRun> runs, List<string> leftOut)
    {
        var begun = false;
        foreach (var panel in panels)
        {
            var figure = new Figure(panel.Name, panel.Caption, "step", panel.Axis);
            foreach (var stage in runs.SelectMany(run => run.Stages))
            {
                foreach (var metric in panel.Metrics.SelectMany(metric =>
                    panel.HeldOut ? stage.History.HeldOut(metric).Prepend(metric) : [metric]))
                {
                    if (stage.History.Course(metric) is { Count: > 0 } course)
                        figure.Line(panel.HeldOut || panel.Metrics.Length > 1 ? $"{stage.Name}: {metric}" : stage.Name, course);
                }
            }
            if (figure.IsEmpty)
            {
                figure.Dispose();
                continue;
            }
            if (!begun)
                page.Heading("Courses of training");
            begun = true;
            figures.Add(figure);
            page.Figure(figure);
        }
        if (!begun)
            leftOut.Add($"Courses of training: there is no {MetricsHistory.FileName} with finite numbers of what is drawn.");
    }
}
