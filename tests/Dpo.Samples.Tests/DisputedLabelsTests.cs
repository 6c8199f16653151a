using System.Globalization;
using Dpo.Evaluation.Measuring;
using Dpo.Evaluation.Reporting;
using Dpo.Tests;

namespace Dpo.Samples.Tests;

public sealed class DisputedLabelsTests : IDisposable
{
    private static readonly string Gpt2 = Fixture.Path("models", "gpt2");
    private static readonly string Train = Fixture.Path("trajectories", "train.jsonl");

    private readonly TemporaryFolder output = new();

    public void Dispose() => output.Dispose();

    /// <summary>The reference is the model that training began with; its log-probabilities are computed here pair by pair.</summary>
    [Fact]
    public void A_run_tells_which_labels_its_reference_disputes()
    {
        Run("all", "--steps", "2", "--batch-size", "24", "--learning-rate", "1e-2");
        using var reference = CausalLanguageModel.Load(Gpt2);
        var tokenizer = TextTokenizer.Load(Gpt2);
        var examples = PreferenceFile.Read(Train, new DataReport()).ToArray();
        var data = new PreferenceData(new ExampleTokenizer(tokenizer, 128, 64).Tokenize(examples, new DataReport()));
        var expected = data.Examples.Zip(Evaluator.LogProbs(reference, data), (example, nats) => (example, Nats: nats[1].Average() - nats[0].Average()))
            .Where(pair => pair.Nats > 0).OrderByDescending(pair => pair.Nats).ToArray();

        var disputed = DisputedFile.Read(output.File("all/disputed.jsonl"));
        Assert.InRange(expected.Length, 11, 47); // of 48
        Assert.Equal(Math.Min(20, expected.Length), disputed.Count);
        foreach (var (pair, actual) in expected.Zip(disputed))
        {
            Numbers.AssertClose(pair.Nats, actual.Nats, 1e-5);
            var source = Assert.Single(examples, example => example.Source == actual.Source);
            Assert.Equal((source.Prompt, source.Completions[0], source.Completions[1]), (actual.Prompt, actual.Chosen, actual.Rejected));
        }
        var share = (100.0 * expected.Length / 48).ToString("0.#", CultureInfo.InvariantCulture);
        Assert.Equal($"{expected.Length} of 48 pairs, {share} %", Audit("all"));
        var page = File.ReadAllText(output.File("all/report.html"));
        Assert.Contains("<h2>Labels that the reference disputes</h2>", page, StringComparison.Ordinal);
        Assert.Contains(disputed[0].Source!, page, StringComparison.Ordinal);

        // A trial run looks at no more than it trained on: 2 · 3 pairs of 48, every eighth.
        Run("few", "--steps", "2", "--batch-size", "3");
        Assert.EndsWith("; a sample of 48", Audit("few"), StringComparison.Ordinal);
        Assert.Matches("^[0-6] of 6 pairs, ", Audit("few"));
        string[] sampled = [.. Enumerable.Range(0, 6).Select(index => $"train.jsonl:{(8 * index) + 1}")];
        Assert.All(DisputedFile.Read(output.File("few/disputed.jsonl")), pair => Assert.Contains(pair.Source, sampled));
    }

    [Theory]
    [InlineData("--loss simpo", "the loss does without one")]
    [InlineData("--move-reference-every 1", "it has moved")]
    public void Where_there_is_no_such_reference_it_is_said(string arguments, string reason)
    {
        Run("run", [.. arguments.Split(' '), "--steps", "1", "--batch-size", "4"]);
        Assert.Null(Audit("run"));
        Assert.Contains($"<li>Which labels the reference disputes: {reason}.</li>", File.ReadAllText(output.File("run/report.html")), StringComparison.Ordinal);
        Assert.False(File.Exists(output.File("run/disputed.jsonl")));
    }

    private void Run(string name, params string[] more) => SampleRun.Succeed(
        "HelpfulHarmless", ["--model", Gpt2, "--train", Train, "--skip-sft", "--max-length", "128", "--warmup-steps", "0", "--output", output.File(name), .. more]);

    private string? Audit(string run) => RunRecord.Read(output.File(run))!.Audit.GetValueOrDefault("labels that the reference disputes");
}
