using System.Text.Json;
using Dpo.Tests;

namespace Dpo.Samples.Tests;

public class ImdbTests
{
    /// <summary>A shortened run of the program's main job; larger steps make up for fewer of them.</summary>
    [Fact]
    public void DPO_raises_the_reward_on_held_out_prefixes()
    {
        using var output = new TemporaryFolder();
        var text = SampleRun.Succeed("Imdb",
            "--sft-steps", "80", "--prefixes", "200", "--held-out-prefixes", "150", "--learning-rate", "1e-4", "--output", output.Path);

        var summary = JsonDocument.Parse(File.ReadAllText(output.File("summary.json"))).RootElement;
        double Figure(string model, string name) => summary.GetProperty(model).GetProperty(name).GetDouble();
        var errors = Math.Sqrt(Math.Pow(Figure("sft", "reward_standard_error"), 2) + Math.Pow(Figure("dpo", "reward_standard_error"), 2));
        Assert.True(Figure("dpo", "reward") > Figure("sft", "reward") + 3 * errors, summary.ToString());
        Assert.Equal(0, Figure("sft", "kl"));
        Assert.True(Figure("dpo", "kl") > 3 * Figure("dpo", "kl_standard_error"), summary.ToString());
        Assert.Equal(0, summary.GetProperty("seed").GetInt32());
        Assert.True(summary.GetProperty("seconds").GetDouble() > 0);
        Assert.Contains("KL(π‖π_ref)", text, StringComparison.Ordinal);
        foreach (var folder in (string[])[output.Path, output.File("sft")])
        {
            using var model = CausalLanguageModel.Load(folder);
            TextTokenizer.Load(folder);
        }
    }

    [Fact]
    public void Reviews_of_ones_own_are_refused_where_they_cannot_be_read()
    {
        var (exitCode, _, error) = SampleRun.Run("Imdb", "--data", "/no/such.jsonl");
        Assert.Equal(2, exitCode);
        Assert.StartsWith("/no/such.jsonl: ", error, StringComparison.Ordinal);
        Assert.Single(error.TrimEnd().Split('\n'));
    }
}
