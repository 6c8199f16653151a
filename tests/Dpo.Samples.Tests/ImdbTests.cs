using System.Text.Json;
using System.Text.RegularExpressions;
using Dpo.Tests;

namespace Dpo.Samples.Tests;

public partial class ImdbTests
{
    /// <summary>A shortened run of the program's main job; larger steps make up for fewer of them.</summary>
    [Fact]
    public void DPO_raises_the_reward_on_held_out_prefixes()
    {
        using var output = new TemporaryFolder();
        var text = SampleRun.Succeed("Imdb",
            "--sft-steps", "80", "--prefixes", "400", "--held-out-prefixes", "300", "--learning-rate", "1e-4", "--output", output.Path);

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

    /// <summary>The weights of the classifier are random: whose the reward is shows in the figures alone.</summary>
    [Fact]
    public void The_reward_is_the_named_classifiers()
    {
        using var output = new TemporaryFolder();
        var classifierFolder = Fixture.Path("models", "roberta");
        var text = SampleRun.Succeed("Imdb",
            "--sft-steps", "2", "--prefixes", "12", "--held-out-prefixes", "3", "--steps", "1", "--batch-size", "12", "--max-new-tokens", "8",
            "--reward-model", classifierFolder, "--output", output.Path);

        // Three prefixes are shown with their continuations: all there are.
        var summary = JsonDocument.Parse(File.ReadAllText(output.File("summary.json"))).RootElement;
        using var classifier = RobertaClassifier.Load(classifierFolder);
        foreach (var model in (string[])["SFT", "DPO"])
        {
            string[] continued = [.. ShownTexts().Matches(text).Select(match => match.Groups[model].Value)];
            Assert.Equal(3, continued.Length);
            Assert.Equal(
                classifier.LogProbabilities(continued).Average(logProbs => Math.Exp(logProbs[classifier.IndexOf("POSITIVE")])),
                summary.GetProperty(model.ToLowerInvariant()).GetProperty("reward").GetDouble(), 1e-6);
        }
    }

    [Fact]
    public void A_model_of_ones_own_continues_prefixes_behind_its_beginning_of_text()
    {
        using var output = new TemporaryFolder();
        var text = SampleRun.Succeed("Imdb",
            "--model", Fixture.Path("models", "llama"), "--bos", "on", "--sft-steps", "1", "--prefixes", "12", "--held-out-prefixes", "3", "--steps", "1",
            "--batch-size", "12", "--max-new-tokens", "8", "--output", output.Path);
        Assert.Contains("Every prefix begins with <|endoftext|>.", text, StringComparison.Ordinal);
        Assert.True(File.Exists(output.File("summary.json")));
    }

    [GeneratedRegex(@"^SFT: (?<SFT>.*?)\r?\nDPO: (?<DPO>.*?)\r?\n(?=\r?\n|\z)", RegexOptions.Singleline | RegexOptions.Multiline)]
    private static partial Regex ShownTexts();

    [Fact]
    public void Reviews_of_ones_own_are_refused_where_they_cannot_be_read()
    {
        var (exitCode, _, error) = SampleRun.Run("Imdb", "--data", "/no/such.jsonl");
        Assert.Equal(2, exitCode);
        Assert.StartsWith("/no/such.jsonl cannot be read: ", error, StringComparison.Ordinal);
        Assert.Single(error.TrimEnd().Split('\n'));
    }
}
