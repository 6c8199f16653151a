namespace Dpo.Tests;

public class MetricsFileTests
{
    [Fact]
    public void A_step_is_a_line_of_metrics_and_a_line_of_timing()
    {
        using var folder = new TemporaryFolder();
        using (var file = new MetricsFile(Path.Combine(folder.Path, "run")))
        {
            file.Report(new(1, 2, new Dictionary<string, double> { ["loss"] = 0.5, ["rewards/chosen"] = -1e-7 }, TimeSpan.FromSeconds(1.5)));
            file.Report(new(2, 2, new Dictionary<string, double> { ["loss"] = 0.25, ["eval_loss"] = double.NaN }, TimeSpan.FromSeconds(2))
            {
                Pace = new(12.5, 2000, TimeSpan.FromMinutes(1.5), 1 << 30),
            });
        }
        Assert.Equal(
            "{\"step\":1,\"loss\":0.5,\"rewards/chosen\":-1E-07}\n{\"step\":2,\"loss\":0.25,\"eval_loss\":\"NaN\"}\n",
            File.ReadAllText(Path.Combine(folder.Path, "run", "metrics.jsonl")));
        Assert.Equal(
            "{\"step\":1,\"seconds\":1.5}\n{\"step\":2,\"seconds\":2,\"examples_per_second\":12.5,\"tokens_per_second\":2000,\"remaining_seconds\":90,\"peak_memory_bytes\":1073741824}\n",
            File.ReadAllText(Path.Combine(folder.Path, "run", "timing.jsonl")));
    }
}
