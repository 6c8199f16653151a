using Spectre.Console;

namespace Dpo.Samples.Tests;

public class JobDisplayTests
{
    [Fact]
    public void The_table_shows_what_runs_how_far_it_is_and_what_is_left()
    {
        using var written = new StringWriter();
        var console = AnsiConsole.Create(new AnsiConsoleSettings { Out = new AnsiConsoleOutput(written), Ansi = AnsiSupport.No });
        console.Profile.Width = 100;
        console.Write(JobDisplay.Table(
            [("seed-0/dpo-beta-0.1", new JobProgress("DPO", 21, 84, "loss 0.6012  margin 0.250")), ("seed-0/[best]", null)],
            done: 2, total: 7, TimeSpan.FromSeconds(3723)));
        string[][] cells = [.. written.ToString().Split('\n').Where(line => line.Contains("seed-0", StringComparison.Ordinal))
            .Select(line => line.Trim().Trim('│').Split('│').Select(cell => cell.Trim()).ToArray())];
        Assert.Equal(["seed-0/dpo-beta-0.1", "DPO 21/84", "25 %", "loss 0.6012  margin 0.250"], cells[0]);
        Assert.Equal(["seed-0/[best]", "begins", "", ""], cells[1]); // no markup
        Assert.Contains("2 of 7 ended, 1:02:03 left", written.ToString(), StringComparison.Ordinal);
        Assert.Equal("2 of 7 ended", JobDisplay.Standing(2, 7, null));
    }

    [Fact]
    public void Progress_is_told_from_lines_for_people()
    {
        var progress = new JobProgress("PPO", 3, 40, "reward 0.5 \u001e KL \"1\"");
        Assert.Equal(progress, JobProgress.Of($"{progress}"));
        Assert.Null(JobProgress.Of("{\"Stage\":\"PPO\"}"));
        Assert.Null(JobProgress.Of(""));
        Assert.DoesNotContain('\n', $"{progress}");
    }
}
