using System.Text.Json;
using System.Text.Json.Nodes;
using Dpo.Tests;
using Dpo.Weights;
using static TorchSharp.torch;

namespace Dpo.Baselines.Tests;

public sealed class RewardModelTests : IDisposable
{
    private readonly TemporaryFolder folder = new();

    public static TheoryData<string> Architectures =>
        ["gpt2", "gpt2_sharded", "gptj", "gpt_neox", "llama", "mistral", "qwen2", "qwen3", "gemma2", "phi3"];

    public void Dispose() => folder.Dispose();

    /// <summary>Where transformers reads the reward of a sequence. Padding to the left is none that we make.</summary>
    [Fact]
    public void A_reward_is_read_where_transformers_reads_it()
    {
        foreach (var one in Numbers.Json("reward", "reading.json").GetProperty("cases").EnumerateArray())
        {
            if (one.GetProperty("case").GetString() is "left_padded" or "trl_ppo_get_reward")
                continue;
            using var reward = RewardTrajectoryTests.Model(one.GetProperty("model").GetString()!);
            var ids = one.GetProperty("ids").Ints();
            foreach (var prompt in (int[])[1, 12, 41 < ids.Length ? 41 : 12])
            {
                var scored = reward.Score([new Answer { PromptIds = ids[..prompt], Ids = ids[prompt..] }]);
                Numbers.AssertClose(one.GetProperty("reward").GetDouble(), scored[0], 1e-5, one.GetProperty("case").GetString()!);
            }
        }
    }

    [Theory]
    [MemberData(nameof(Architectures))]
    public void Every_architecture_becomes_one_and_is_saved_as_transformers_saves_it(string name)
    {
        using var reward = RewardModel.Load(Fixture.Path("models", name), seed: 3);
        var answers = Answers();
        var before = reward.Score(answers);
        Assert.Equal(answers.Count, before.Distinct().Count());
        reward.Save(folder.Path);
        using var config = JsonDocument.Parse(File.ReadAllText(folder.File("config.json")));
        Assert.EndsWith("ForSequenceClassification", config.RootElement.GetProperty("architectures")[0].GetString(), StringComparison.Ordinal);
        Assert.DoesNotContain("ForCausalLM", config.RootElement.GetProperty("architectures")[0].GetString(), StringComparison.Ordinal);
        Assert.Equal(["0"], config.RootElement.GetProperty("id2label").EnumerateObject().Select(label => label.Name));
        using (var file = new SafetensorsReader(folder.File("model.safetensors")))
        {
            Assert.Equal([1, reward.Model.Head.Weight!.shape[1]], file.Shape("score.weight"));
            Assert.DoesNotContain(file.Names, tensor => tensor.Contains("lm_head") || tensor.Contains("embed_out"));
        }
        using var loaded = RewardModel.Load(folder.Path);
        Assert.Equal(before, loaded.Score(answers));
        Assert.Equal(reward.Model.VocabularySize, loaded.Model.VocabularySize);
    }

    [Fact]
    public void A_policy_s_copy_begins_as_the_policy_with_its_adapter()
    {
        using var policy = CausalLanguageModel.Load(Fixture.Path("models", "llama"));
        policy.AddLora(new LoraOptions { Rank = 2 });
        using (no_grad())
        {
            foreach (var (name, parameter) in policy.named_parameters().Where(named => named.name.Contains("lora_B")))
                parameter.normal_(0, 0.1);
        }
        using var reward = new RewardModel(policy.WithScalarHead(seed: 1, deviation: 0));
        Assert.All(reward.Score(Answers()), score => Assert.Equal(0, score));
        policy.Save(folder.Path);
        using var merged = CausalLanguageModel.Load(folder.Path);
        var expected = merged.named_parameters().ToDictionary(named => named.name, named => (Tensor)named.parameter);
        foreach (var (name, parameter) in reward.Model.named_parameters().Where(named => named.name != "score.weight"))
            Assert.True(parameter.equal(expected[name]).all().item<bool>(), name);
    }

    [Fact]
    public void Rewards_may_be_centred_and_stay_so()
    {
        using var reward = RewardModel.Load(Fixture.Path("models", "gpt2"));
        using var data = Data();
        var before = reward.Score(data).SelectMany(of => of).ToArray();
        reward.Centre(data);
        var after = reward.Score(data).SelectMany(of => of).ToArray();
        Assert.Equal(0, after.Average(), 1e-6);
        Assert.Equal(before[0] - before[1], after[0] - after[1], 1e-6);
        reward.Save(folder.Path);
        using var loaded = RewardModel.Load(folder.Path);
        Assert.Equal(after, loaded.Score(data).SelectMany(of => of));
    }

    /// <summary>More than are computed at once, of one prompt and of several.</summary>
    [Fact]
    public void Many_answers_have_the_rewards_that_each_has_alone()
    {
        using var reward = RewardModel.Load(Fixture.Path("models", "gpt2"));
        Answer[] answers = [.. Enumerable.Range(0, 300).Select(index => new Answer
        {
            PromptIds = [5, 6 + (index / 150)],
            Ids = [.. Enumerable.Range(0, 10 + (index % 50)).Select(place => 8 + (((index * 7) + place) % 300))],
        })];
        var together = reward.Score(answers);
        foreach (var index in (int[])[0, 1, 99, 149, 150, 151, 298, 299])
            Numbers.AssertClose(reward.Score([answers[index]])[0], together[index], 1e-5, $"{index}");
    }

    /// <summary>A class's name that is no list, and Llama's −1 for no padding.</summary>
    [Theory]
    [InlineData("\"GPT2LMHeadModel\"", -1)]
    [InlineData("[]", 8)]
    public void Odd_fields_of_a_configuration_do_no_harm(string architectures, int padding)
    {
        using (var policy = CausalLanguageModel.Load(Fixture.Path("models", "gpt2")))
            policy.Save(folder.Path);
        var config = JsonNode.Parse(File.ReadAllText(folder.File("config.json")))!.AsObject();
        (config["architectures"], config["pad_token_id"]) = (JsonNode.Parse(architectures), padding);
        File.WriteAllText(folder.File("config.json"), config.ToJsonString());
        using var reward = RewardModel.Load(folder.Path);
        float Score(params int[] ids) => reward.Score([new Answer { PromptIds = [5], Ids = ids }])[0];
        // Where the last token is padding the one before it is read.
        Assert.Equal(padding == 8, Math.Abs(Score(7, 8) - Score(7)) < 1e-6);
    }

    [Fact]
    public void Texts_are_scored_by_a_tokenizer_of_its_own()
    {
        var tokenizer = TextTokenizer.Load(Fixture.Path("models", "gpt2"));
        using var reward = RewardModel.Load(Fixture.Path("models", "gpt2"), tokenizer: tokenizer);
        using var byIds = new RewardModel(CausalLanguageModel.LoadScalar(Fixture.Path("models", "gpt2")));
        var scored = reward.Score([new Answer { PromptIds = [5], Ids = [6], Prompt = "The film", Text = " was good." }]);
        var expected = byIds.Score([new Answer
        {
            PromptIds = tokenizer.EncodePrompt("The film"), Ids = [.. tokenizer.Encode(" was good."), tokenizer.EndOfTextId],
        }]);
        Assert.Equal(expected, scored);
        Assert.StartsWith(
            "A reward model with a tokenizer of its own scores texts",
            Assert.Throws<InvalidInputException>(() => reward.Score(Answers())).Message, StringComparison.Ordinal);
    }

    [Fact]
    public void A_reward_model_is_no_language_model()
    {
        using (var reward = RewardModel.Load(Fixture.Path("models", "gpt2")))
        {
            reward.Save(folder.Path);
            Assert.Throws<InvalidOperationException>(() => Sampler.Sample(reward.Model, [[1]]));
            var batch = new PreferenceBatch([new TokenizedExample([1], [[2]], [])]).To(CPU);
            Assert.Throws<InvalidOperationException>(() => CompletionLogProbs.Compute(reward.Model, batch));
        }
        Assert.Contains(
            "load it as RewardModel", Assert.Throws<InvalidInputException>(() => CausalLanguageModel.Load(folder.Path)).Message,
            StringComparison.Ordinal);
        using var policy = CausalLanguageModel.Load(Fixture.Path("models", "gpt2"));
        Assert.Throws<ArgumentException>(() => new RewardModel(policy));
        var config = JsonNode.Parse(File.ReadAllText(folder.File("config.json")))!.AsObject();
        config.Remove("id2label");
        File.WriteAllText(folder.File("config.json"), config.ToJsonString());
        Assert.Contains(
            "`id2label` is missing; a reward model has one label",
            Assert.Throws<InvalidInputException>(() => RewardModel.Load(folder.Path)).Message, StringComparison.Ordinal);
    }

    /// <summary>The least and the largest reward are those of a step, or of all held-out data, however they are cut; a mean is as
    /// before.</summary>
    [Theory]
    [InlineData(1)]
    [InlineData(2)]
    [InlineData(100)]
    public void Extremes_are_over_all_completions(int microBatchSize)
    {
        using var reward = RewardModel.Load(Fixture.Path("models", "gpt2"));
        using var data = Data();
        var all = reward.Score(data).SelectMany(of => of).ToArray();
        Assert.NotEqual(all.Min(), all[0]);
        Assert.NotEqual(all.Max(), all[0]);
        var steps = new List<TrainingMetrics>();
        using var trainer = new RewardTrainer(
            reward, options: new TrainingOptions { Steps = 1, BatchSize = 100, MicroBatchSize = microBatchSize, LearningRate = 1e-9 });
        trainer.Train(data, data, new Recorder(steps));
        foreach (var prefix in (string[])["", "eval_"])
        {
            Numbers.AssertClose(all.Min(), steps[0][prefix + "min_reward"], 1e-5);
            Numbers.AssertClose(all.Max(), steps[0][prefix + "max_reward"], 1e-5);
            Numbers.AssertClose(all.Average(), steps[0][prefix + "mean_reward"], 1e-5);
        }
    }

    [Fact]
    public void Data_without_pairs_or_margins_and_too_long_ones_are_refused()
    {
        using var reward = new RewardModel(new Gpt2(
            new() { VocabularySize = 20, MaxPositions = 6, HiddenSize = 8, LayerCount = 1, HeadCount = 1 }).WithScalarHead());
        Assert.Contains("has no pair", Refusal(new TokenizedExample([1], [[2], [3]], [])), StringComparison.Ordinal);
        Assert.Contains(
            "is longer than the model's 6 positions", Refusal(new TokenizedExample([1, 2, 3], [[2, 3, 4, 5], [3]], [new(0, 1)])),
            StringComparison.Ordinal);
        Assert.Contains(
            "has no scores", Refusal(new TokenizedExample([1], [[2], [3]], [new(0, 1)]), new RewardOptions { UseMargin = true }),
            StringComparison.Ordinal);
        Assert.Throws<ArgumentOutOfRangeException>(() => new RewardTrainer(reward, new RewardOptions { CenterCoefficient = -1 }));
        // Exactly as many as there are positions are well.
        using var fits = new PreferenceData([new TokenizedExample([1, 2, 3], [[2, 3, 4], [3]], [new(0, 1)])]);
        using var trainer = new RewardTrainer(reward, options: new TrainingOptions { Steps = 1 });
        trainer.Train(fits);

        string Refusal(TokenizedExample example, RewardOptions? options = null)
        {
            using var data = new PreferenceData([example with { Source = "row 1" }]);
            using var refusing = new RewardTrainer(reward, options);
            return Assert.Throws<InvalidInputException>(() => refusing.Train(data)).Message;
        }
    }

    private static List<Answer> Answers() =>
    [
        new() { PromptIds = [5, 6, 7], Ids = [8, 9, 0] }, new() { PromptIds = [5, 6, 7], Ids = [10, 0] },
        new() { PromptIds = [5, 6], Ids = [8, 9, 0] }, new() { PromptIds = [5, 6, 7], Ids = [11, 12, 13, 14, 0] },
    ];

    private static PreferenceData Data() => new(Enumerable.Range(0, 6).Select(index =>
        new TokenizedExample([5, 6 + index], [[8, 9, 0], [10 + index, 0]], [new PreferencePair(0, 1)])));
}
