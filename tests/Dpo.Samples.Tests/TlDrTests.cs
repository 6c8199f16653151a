using System.Text.Json;
using Dpo.Tests;

namespace Dpo.Samples.Tests;

public class TlDrTests
{
    [Fact]
    public void On_nothing_it_trains_with_the_papers_beta()
    {
        using var output = new TemporaryFolder();
        SampleRun.Succeed("TlDr", "--steps", "3", "--batch-size", "8", "--max-length", "160", "--output", output.Path);
        var last = JsonDocument.Parse(File.ReadAllLines(output.File("metrics.jsonl"))[^1]).RootElement;
        Assert.Equal(3, last.GetProperty("step").GetInt32());
        Assert.True(last.GetProperty("rewards/margins").GetDouble() != 0);
        using var model = CausalLanguageModel.Load(output.Path);
        Assert.Equal(160, model.MaxPositions);
        Assert.Contains("0.5", SampleRun.Succeed("TlDr", "--help"), StringComparison.Ordinal);
    }

    [SharedTheory("data/tldr")]
    [InlineData("openai_readme_examples.jsonl")]
    [InlineData("dlai_sample_preference.jsonl")]
    public void Published_comparisons_are_read(string file)
    {
        var path = Fixture.Shared("data", "tldr", file)!;
        using var output = new TemporaryFolder();
        SampleRun.Succeed("TlDr", "--train", path, "--steps", "1", "--output", output.Path);
        Assert.Single(File.ReadAllLines(output.File("metrics.jsonl")));
    }
}
