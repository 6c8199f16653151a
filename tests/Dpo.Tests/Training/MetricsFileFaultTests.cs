using System.Text.Json;
using CsCheck;

namespace Dpo.Tests;

/// <summary>Metrics that were damaged between two runs: the second goes on behind whole lines of the steps that stay, or is refused
/// and leaves the file as it is.</summary>
public sealed class MetricsFileFaultTests : IDisposable
{
    private const string NextLine = "{\"step\":5}\n";

    private static TrainingMetrics Next => new(5, 6, new Dictionary<string, double>(), TimeSpan.Zero);

    private readonly TemporaryFolder folder = new();
    private readonly string path;
    private readonly byte[] whole;

    public MetricsFileFaultTests()
    {
        path = folder.File("metrics.jsonl");
        using (var file = new MetricsFile(folder.Path))
        {
            for (var step = 0; step <= 6; step++)
                file.Report(new TrainingMetrics(step, 6, new Dictionary<string, double> { ["loss"] = 0.6875 - step / 64.0, ["grad_norm"] = 1e-7 }, TimeSpan.Zero));
        }
        whole = File.ReadAllBytes(path);
    }

    public void Dispose() => folder.Dispose();

    private int[] Steps() =>
        [.. File.ReadAllText(path).Split('\n')[..^1].Select(line => JsonDocument.Parse(line).RootElement.GetProperty("step").GetInt32())];

    /// <summary>Resumes over a file; whether it was taken.</summary>
    private bool IsTaken(byte[] damaged)
    {
        File.WriteAllBytes(path, damaged);
        try
        {
            using var file = new MetricsFile(folder.Path, lastStep: 4);
            Assert.Equal(damaged, File.ReadAllBytes(path)); // nothing is touched before a step is reported
            file.Report(Next);
        }
        catch (InvalidInputException e)
        {
            Assert.Matches("ends after step -?[0-9]+, but the checkpoint was written after step 4; move the file away to go on without the lines before\\.$", e.Message);
            Assert.StartsWith(path, e.Message, StringComparison.Ordinal);
            Assert.Equal(damaged, File.ReadAllBytes(path));
            return false;
        }
        var kept = File.ReadAllBytes(path)[..^NextLine.Length];
        Assert.Equal(damaged[..kept.Length], kept);
        Assert.Equal('\n', (char)kept[^1]);
        int[] steps = Steps();
        Assert.Equal(Enumerable.Range(steps[0], 6 - steps[0]), steps);
        return true;
    }

    [Fact]
    public void Undamaged_metrics_stay_up_to_the_checkpoint()
    {
        Assert.True(IsTaken(whole));
        Assert.Equal([0, 1, 2, 3, 4, 5], Steps());
    }

    [Fact]
    public void Whatever_bytes_are_changed_put_in_or_taken_out_whole_lines_stay_or_the_file_is_refused()
    {
        var (taken, refused) = (0, 0);
        ByteDamage.Of(whole, most: 3, Gen.OneOf(Gen.Byte, Gen.Byte[48, 57])).Sample(
            bytes => _ = IsTaken(bytes) ? taken++ : refused++,
            iter: 1000, threads: 1);
        Assert.True(taken > 100 && refused > 100, $"{taken} taken, {refused} refused");
    }

    [Theory]
    [InlineData("null")]
    [InlineData("\"2\"")]
    [InlineData("2.5")]
    [InlineData("-2")]
    [InlineData("1")]
    [InlineData("4")]
    [InlineData("99999999999")]
    [InlineData("{}")]
    [InlineData("[2]")]
    [InlineData("NaN")]
    public void A_step_that_is_none_is_refused(string step) =>
        Assert.False(IsTaken(System.Text.Encoding.UTF8.GetBytes(System.Text.Encoding.UTF8.GetString(whole).Replace("\"step\":2,", $"\"step\":{step},", StringComparison.Ordinal))));

    /// <summary>Metrics would be written to what no name leads to any more, and the other file be taken for them.</summary>
    [Fact]
    public void A_file_that_another_takes_the_place_of_is_said_to_be_replaced()
    {
        using var file = new MetricsFile(folder.File("run"));
        file.Report(Next);
        var (metrics, moved) = (folder.File("run/metrics.jsonl"), folder.File("run/moved.jsonl"));
        File.Move(metrics, moved);
        File.WriteAllText(metrics, "somebody else's");
        Assert.Equal(
            $"{metrics} was removed, renamed or replaced while the run wrote to it; leave the folder where it is until the run ends.",
            Assert.Throws<IOException>(() => file.Report(Next)).Message);
        Assert.Equal("somebody else's", File.ReadAllText(metrics));
    }

    /// <summary>Before anything was written as well: files are made when the first step is reported.</summary>
    [Fact]
    public void A_folder_that_is_gone_at_the_first_step_is_said_to_be_gone()
    {
        var gone = Directory.CreateDirectory(folder.File("gone")).FullName;
        using var file = new MetricsFile(gone);
        Directory.Delete(gone, recursive: true);
        Assert.Equal(
            $"{Path.Combine(gone, "metrics.jsonl")} was removed, renamed or replaced while the run wrote to it; leave the folder where it is until the run ends.",
            Assert.Throws<IOException>(() => file.Report(Next)).Message);
    }
}
