using System.Text.Json;
using Dpo.Tests;

namespace Dpo.Samples.Tests;

/// <summary>What a run leaves to follow it by.</summary>
public class FollowingTests
{
    private static readonly string[] Tiny = ["--steps", "3", "--batch-size", "8", "--max-length", "128"];

    [Fact]
    public void Metrics_come_as_lines_table_and_event_file_and_samples_with_held_out_data()
    {
        using var output = new TemporaryFolder();
        var lines = SampleRun.Succeed(
            "HelpfulHarmless",
            [.. Tiny, "--model", Fixture.Path("models", "gpt2"), "--train", Fixture.Path("trajectories", "train.jsonl"), "--eval", Fixture.Path("trajectories", "train.jsonl"),
                "--detailed-metrics", "--move-reference-every", "2", "--move-reference-by", "1", "--output", output.Path]);

        var steps = File.ReadAllLines(output.File("metrics.jsonl")).Select(line => JsonDocument.Parse(line).RootElement).ToArray();
        Assert.Equal([0, 0], new[] { 0, 2 }.Select(step => steps[step].GetProperty("rewards/margins").GetDouble()));
        Assert.True(steps[0].GetProperty("entropy").GetDouble() > 1);
        Assert.Contains("eval_entropy", File.ReadLines(output.File("metrics.csv")).First().Split(','));
        Assert.Equal(4, File.ReadAllLines(output.File("sft/metrics.csv")).Length);
        Assert.Single(Directory.GetFiles(output.Path, "events.out.tfevents.*"));
        Assert.Single(Directory.GetFiles(output.File("sft"), "events.out.tfevents.*"));
        Assert.Equal([3, 3, 3, 3], File.ReadLines(output.File("samples.jsonl")).Select(line => JsonDocument.Parse(line).RootElement.GetProperty("step").GetInt32()));
        Assert.Matches(@"DPO 1/3  loss \d.*  \d+\.\d examples/s  \d+ tokens/s  \d+\.\d GB  0:\d\d:\d\d left", lines);
    }

    [Theory]
    [InlineData("--move-reference-by goes with --move-reference-every.", "--move-reference-by", "0.5")]
    [InlineData("--move-reference-by: the value must be at most 1, which makes the reference the policy.", "--move-reference-every", "2", "--move-reference-by", "1.5")]
    [InlineData("--move-reference-every: the loss does without a reference, so there is none to move.", "--move-reference-every", "2", "--loss", "simpo")]
    public void A_reference_that_cannot_move_is_refused(string message, params string[] args)
    {
        var (exitCode, _, error) = SampleRun.Run("HelpfulHarmless", args);
        Assert.Equal((2, message), (exitCode, error.Trim()));
    }
}
