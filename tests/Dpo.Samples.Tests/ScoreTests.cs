using System.Globalization;
using System.Text.Json;
using System.Text.Json.Nodes;
using Dpo.Tests;
using ParquetSharp;

namespace Dpo.Samples.Tests;

public sealed class ScoreTests : IDisposable
{
    private static readonly string Gpt2 = Fixture.Path("models", "gpt2");
    private static readonly string[] Subsets = ["alpacaeval-easy", "mt-bench-hard", "xstest-should-refuse", "hep-cpp"];
    private static readonly JsonObject[] Rows =
        [.. File.ReadLines(Fixture.Path("trajectories", "train.jsonl")).Select(line => JsonNode.Parse(line)!.AsObject())];

    private readonly TemporaryFolder output = new();

    public void Dispose() => output.Dispose();

    [Fact]
    public void Rewards_accuracies_and_calibration_are_those_of_the_models()
    {
        var (policy, scores, data) = (Policy(), output.File("scores"), RewardBench());
        string[] arguments =
        [
            "score", "--policy", policy, "--reference", Gpt2, "--data", data, "--rewardbench", "--beta", "0.3", "--max-length", "48",
            "--max-prompt-length", "24", "--output", scores,
        ];
        var text = SampleRun.Succeed("HelpfulHarmless", arguments);

        // The same from log-probabilities, under the program's own truncation.
        double[] expected;
        using (CausalLanguageModel trained = CausalLanguageModel.Load(policy), reference = CausalLanguageModel.Load(Gpt2))
        {
            var tokenizer = new ExampleTokenizer(TextTokenizer.Load(policy), 48, 24, Truncation.PaperKeepPromptEnd);
            var examples = new PreferenceData(tokenizer.Tokenize(PreferenceFile.Read(data, new DataReport()), new DataReport()));
            double[] Gaps(CausalLanguageModel model) => [.. Evaluator.LogProbs(model, examples).Select(pair => (double)pair[0].Sum() - pair[1].Sum())];
            expected = [.. Gaps(trained).Zip(Gaps(reference), (policy, reference) => 0.3 * (policy - reference))];
        }
        Assert.Equal(48, expected.Length);
        Numbers.AssertClose(expected, Margins(scores), 1e-4);
        var scored = File.ReadLines(Path.Combine(scores, "scored-pairs.jsonl")).Select(line => JsonDocument.Parse(line).RootElement).ToArray();
        Assert.Equal(Margins(scores), scored.Select(pair => pair.GetProperty("margin").GetDouble()));
        Assert.Equal(("rewardbench.jsonl:2", Subsets[1]), (scored[1].GetProperty("source").GetString(), scored[1].GetProperty("subset").GetString()));

        string Share(Func<int, bool> of) => expected.Where((_, index) => of(index)).Average(margin => margin > 0 ? 1.0 : 0).ToString("0.000", CultureInfo.InvariantCulture);
        Assert.Contains($"\nAccuracy {Share(_ => true)} (95 %: ", text, StringComparison.Ordinal);
        Assert.Contains($"\nThe rewards are in {Path.Combine(scores, "rewards.csv")}.\nThe report is {Path.Combine(scores, "report.html")}.", text, StringComparison.Ordinal);
        var page = File.ReadAllText(Path.Combine(scores, "report.html"));
        foreach (var (name, subset) in ((string, int)[])[("alpacaeval-easy", 0), ("Chat Hard", 1), ("Safety", 2), ("hep-cpp", 3)])
            Assert.Contains($"<td>{name}</td><td class=\"number\">12</td><td class=\"number\">{Share(index => index % 4 == subset)}</td>", page, StringComparison.Ordinal);
        Assert.Contains("<dt>β</dt><dd>0.3</dd>", page, StringComparison.Ordinal);
        Assert.Contains("<dt>tokens</dt><dd>48, of a prompt 24; PaperKeepPromptEnd</dd>", page, StringComparison.Ordinal);
        Assert.DoesNotContain("What was left out", page, StringComparison.Ordinal);
        Assert.True(File.Exists(Path.Combine(scores, "report-figures", "calibration.csv")));

        // The page comes out of the files; earlier scores are kept, or replaced by equal bytes.
        File.Delete(Path.Combine(scores, "report.html"));
        SampleRun.Succeed("Imdb", "report", scores);
        Assert.Equal(page, File.ReadAllText(Path.Combine(scores, "report.html")));
        Assert.Equal(
            $"--output {scores}: the folder holds earlier scores; add --overwrite to replace them, or give another folder.", Refusal(arguments));
        var before = Files(scores);
        SampleRun.Succeed("HelpfulHarmless", [.. arguments, "--overwrite"]);
        Assert.Equal(before, Files(scores));

        Dictionary<string, string> Files(string folder) => Directory.GetFiles(folder, "*", SearchOption.AllDirectories)
            .ToDictionary(file => file, file => Convert.ToHexString(File.ReadAllBytes(file)));
    }

    [Fact]
    public void A_chat_template_makes_messages_of_rewardbench_in_any_file()
    {
        var policy = Policy();
        string Score(string name, string data, params string[] more)
        {
            SampleRun.Succeed(
                "TlDr", ["score", "--policy", policy, "--reference", Gpt2, "--data", data, "--max-length", "128", "--output", output.File(name), .. more]);
            return output.File(name);
        }
        var messages = output.Write("messages.jsonl", string.Concat(Rows.Select(row => JsonSerializer.Serialize(new
        {
            prompt = new[] { new { role = "user", content = (string?)row["prompt"] } },
            chosen = new[] { new { role = "assistant", content = (string?)row["chosen"] } },
            rejected = new[] { new { role = "assistant", content = (string?)row["rejected"] } },
        }) + "\n")));
        var chat = Score("chat", Parquet(), "--rewardbench", "--chat-template", "hh");
        Assert.Equal(48, Margins(chat).Length);
        Assert.Equal(Margins(Score("messages", messages, "--chat-template", "hh")), Margins(chat));
        Assert.Contains("rewardbench.parquet:3", File.ReadAllText(Path.Combine(chat, "rewards.csv")), StringComparison.Ordinal);
        Assert.Contains("<td>mt-bench-hard</td><td class=\"number\">12</td>", File.ReadAllText(Path.Combine(chat, "report.html")), StringComparison.Ordinal);
        Assert.DoesNotContain("Subsets", File.ReadAllText(output.File("messages/report.html")), StringComparison.Ordinal);
    }

    [Fact]
    public void What_cannot_be_scored_is_one_sentence()
    {
        var data = Fixture.Path("trajectories", "train.jsonl");
        string[] Arguments(string policy, string reference, string file, params string[] more) =>
            ["score", "--policy", policy, "--reference", reference, "--data", file, "--max-length", "64", "--output", output.File("scores"), .. more];

        var bare = Directory.CreateDirectory(output.File("bare")).FullName;
        foreach (var name in (string[])["config.json", "model.safetensors"])
            File.Copy(Path.Combine(Gpt2, name), Path.Combine(bare, name));
        var refusal = Refusal(Arguments(bare, Gpt2, data));
        Assert.True(refusal.StartsWith(bare, StringComparison.Ordinal) && refusal.Contains("tokenizer.json", StringComparison.Ordinal), refusal);

        var wide = output.File("wide");
        using (var model = new Gpt2(new Gpt2Config { VocabularySize = 448, MaxPositions = 64, HiddenSize = 16, LayerCount = 1, HeadCount = 2 }))
            model.Save(wide);
        Assert.Equal(
            $"--reference {wide}: its vocabulary has 448 entries and that of --policy {Gpt2} has 384; give the model that the policy was trained from.",
            Refusal(Arguments(Gpt2, wide, data)));

        var unpaired = output.Write("unpaired.jsonl", "{\"prompt\": \"p\", \"completion\": \"c\", \"label\": true}\n");
        Assert.Equal($"--data {unpaired}: there is no pair to score; give rows with a chosen and a rejected completion.", Refusal(Arguments(Gpt2, Gpt2, unpaired)));
        Assert.StartsWith($"{data}:1: no number or text 'id'; give rows in RewardBench's format", Refusal([.. Arguments(Gpt2, Gpt2, data), "--rewardbench"]), StringComparison.Ordinal);
        Assert.Equal("--columns does not go with --rewardbench, whose columns have their names.", Refusal([.. Arguments(Gpt2, Gpt2, data), "--rewardbench", "--columns", "prompt=q"]));
        Assert.Equal("Option '--reference' is required. Run with --help for the options.", Refusal(["score", "--policy", Gpt2, "--data", data, "--output", bare]));
        Assert.Equal($"--output {bare}: the folder holds a run or a model; give another one.", Refusal(["score", "--policy", Gpt2, "--reference", Gpt2, "--data", data, "--output", bare]));
        Assert.StartsWith(
            $"{Gpt2}: the model has 128 positions, but sequences may have 512 tokens; give a smaller --max-length.",
            Refusal(["score", "--policy", Gpt2, "--reference", Gpt2, "--data", data, "--output", output.File("scores")]), StringComparison.Ordinal);
        Assert.False(Directory.Exists(output.File("scores")));
    }

    private static string Refusal(string[] arguments)
    {
        var (exitCode, _, error) = SampleRun.Run("HelpfulHarmless", arguments);
        Assert.Equal((2, 1), (exitCode, error.TrimEnd().Split('\n').Length));
        return error.TrimEnd();
    }

    private static double[] Margins(string folder) =>
        [.. File.ReadLines(Path.Combine(folder, "rewards.csv")).Skip(1).Select(line => double.Parse(line.Split(',')[5], CultureInfo.InvariantCulture))];

    /// <summary>The fixture's model, moved a little.</summary>
    private string Policy()
    {
        var folder = output.File("policy");
        using var model = CausalLanguageModel.Load(Gpt2);
        using var noGrad = TorchSharp.torch.no_grad();
        using var generator = new TorchSharp.torch.Generator(5);
        foreach (var weight in model.parameters())
            weight.add_(TorchSharp.torch.randn(weight.shape, generator: generator).mul(0.02f));
        model.Save(folder);
        TextTokenizer.Load(Gpt2).Save(folder);
        return folder;
    }

    private string RewardBench() => output.Write("rewardbench.jsonl", string.Concat(Rows.Select((row, index) => JsonSerializer.Serialize(new
    {
        prompt = (string?)row["prompt"],
        chosen = (string?)row["chosen"],
        rejected = (string?)row["rejected"],
        subset = Subsets[index % 4],
        id = index,
    }) + "\n")));

    private string Parquet()
    {
        string[] texts = ["prompt", "chosen", "rejected"];
        var path = output.File("rewardbench.parquet");
        using var file = new ParquetFileWriter(path, [.. texts.Append("subset").Select(name => new Column<string>(name)), new Column<long>("id")]);
        using (var group = file.AppendRowGroup())
        {
            foreach (var values in texts.Select(name => Rows.Select(row => (string)row[name]!).ToArray()).Append([.. Rows.Select((_, index) => Subsets[index % 4])]))
            {
                using var writer = group.NextColumn().LogicalWriter<string>();
                writer.WriteBatch(values);
            }
            using var ids = group.NextColumn().LogicalWriter<long>();
            ids.WriteBatch([.. Rows.Select((_, index) => (long)index)]);
        }
        file.Close();
        return path;
    }
}
