using System.Text.Json;

namespace Dpo.Tests;

/// <summary>A small model that was really trained.</summary>
public class StoriesTests
{
    private const string Model = "models/stories260K";

    [SharedFact(Model)]
    public void Greedy_text_is_the_one_it_is_known_for()
    {
        var folder = Fixture.Shared("models", "stories260K")!;
        using var model = CausalLanguageModel.Load(folder);
        var tokenizer = TextTokenizer.Load(folder);
        var readme = File.ReadAllText(Path.Combine(folder, "README.md"));
        var begin = readme.IndexOf("Once upon a time, there", StringComparison.Ordinal);
        var story = readme[begin..readme.IndexOf("```", begin, StringComparison.Ordinal)].TrimEnd();

        var prompt = tokenizer.EncodePrompt("Once upon a time");
        var expected = JsonDocument.Parse(File.ReadAllText(Path.Combine(folder, "expected.json"))).RootElement.GetProperty("greedy");
        var sample = Assert.Single(Sampler.Sample(
            model, [prompt], new() { MaxNewTokens = expected.GetProperty("ids").GetArrayLength() - prompt.Count, Temperature = 0 }, tokenizer));
        Assert.Equal(story["Once upon a time".Length..], sample.Text);
    }

    /// <summary>What is asked for is easily counted: the letter s. More of it must come out of prompts that were not trained on.</summary>
    [SharedFact(Model, "data/stories/tinystories_1000.json")]
    public void DPO_moves_a_reward_on_prompts_it_has_not_seen()
    {
        var (folder, stories) = (Fixture.Shared("models", "stories260K")!, Fixture.Shared("data", "stories", "tinystories_1000.json")!);
        using var pair = PolicyReferencePair.Load(folder);
        var policy = (TransformerModel)pair.Policy;
        var tokenizer = TextTokenizer.Load(folder);
        var texts = JsonSerializer.Deserialize<string[]>(File.ReadAllText(stories))!;
        int[][] prompts = [.. texts.Take(192).Select(text => (int[])[.. tokenizer.EncodePrompt(text).Take(8)])];
        IReadOnlyList<SampledCompletion> Samples(IReadOnlyList<int[]> of, int seed) => Sampler.Sample(
            policy, of, new() { MaxNewTokens = 32, SamplesPerPrompt = 4, EndOfTextIds = [1, 2], Seed = seed }, tokenizer);
        static double Reward(SampledCompletion sample) => sample.Text!.Count(letter => letter == 's');

        var examples = Samples(prompts[..128], seed: 1).GroupBy(sample => sample.PromptIndex).Select(group =>
        {
            var samples = group.ToArray();
            var indices = Enumerable.Range(0, samples.Length);
            return new TokenizedExample(prompts[group.Key], [.. samples.Select(sample => sample.Tokens)],
                [.. from better in indices from worse in indices where Reward(samples[better]) > Reward(samples[worse]) select new PreferencePair(better, worse)]);
        });
        var before = Samples(prompts[128..], seed: 2).Select(Reward).ToArray();
        using var trainer = new DpoTrainer(pair, new DpoLoss(0.1), new TrainingOptions
        {
            LearningRate = 3e-4,
            Schedule = LearningRateSchedules.Paper(warmupSteps: 5),
            BatchSize = 32,
            Epochs = 3,
        });
        trainer.Train(new PreferenceData(examples.Where(example => example.Pairs.Count > 0)));
        var after = Samples(prompts[128..], seed: 2).Select(Reward).ToArray();

        static double ErrorOfMean(double[] values) => Math.Sqrt(values.Sum(value => Math.Pow(value - values.Average(), 2))) / values.Length;
        var (gain, error) = (after.Average() - before.Average(), Math.Sqrt(Math.Pow(ErrorOfMean(before), 2) + Math.Pow(ErrorOfMean(after), 2)));
        Assert.True(gain > 4 * error, $"from {before.Average():0.00} to {after.Average():0.00}, standard error {error:0.00}");
    }
}
