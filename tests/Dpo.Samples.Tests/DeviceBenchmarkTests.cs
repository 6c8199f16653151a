using System.Text.Json;
using Dpo.Tests;

namespace Dpo.Samples.Tests;

/// <summary>The benchmarks' <c>device</c>, which proves a GPU where there is one: here on the CPU, in its quick form.</summary>
public class DeviceBenchmarkTests
{
    [Fact]
    public void It_checks_and_measures_the_CPU()
    {
        using var folder = new TemporaryFolder();
        var (exitCode, output, error) = SampleRun.Run("Dpo.Benchmarks", "device", "--device", "cpu", "--quick", "--json", folder.File("figures.json"));
        Assert.True(exitCode == 0, output + error);
        Assert.Contains("log-probabilities, fp32, against transformers", output, StringComparison.Ordinal);

        using var figures = JsonDocument.Parse(File.ReadAllText(folder.File("figures.json")));
        var checks = figures.RootElement.GetProperty("checks").EnumerateArray().ToArray();
        Assert.InRange(checks.Length, 15, 40);
        Assert.All(checks, check => Assert.True(check.GetProperty("holds").GetBoolean(), check.GetRawText()));
        string[] rows = [.. figures.RootElement.GetProperty("speeds").EnumerateArray().Select(row =>
        {
            Assert.InRange(row.GetProperty("pairs_per_s").GetDouble(), 1e-3, 1e6);
            Assert.InRange(row.GetProperty("loss").GetDouble(), 0.5, 0.8);
            return row.GetProperty("row").GetString()!;
        })];
        Assert.Equal(["live", "cached"], rows);
        Assert.True(Assert.Single(figures.RootElement.GetProperty("generation").EnumerateArray()).GetProperty("tokens_per_s").GetDouble() > 0);
    }
}
