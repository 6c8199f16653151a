using System.Text.Json;
using static TorchSharp.torch;

namespace Dpo.Tests;

public class LlamaTests
{
    private static readonly LlamaConfig Small = new()
    {
        VocabularySize = 50,
        MaxPositions = 16,
        HiddenSize = 16,
        InnerSize = 24,
        LayerCount = 2,
        HeadCount = 4,
        KeyValueHeadCount = 2,
    };

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public void A_new_model_is_seeded_and_survives_a_round_trip(bool tied)
    {
        using var scope = NewDisposeScope();
        using var noGrad = no_grad();
        using var folder = new TemporaryFolder();
        var config = Small with { TieWordEmbeddings = tied };
        using var model = new Llama(config, seed: 3);
        using var same = new Llama(config, seed: 3);
        using var other = new Llama(config, seed: 4);
        model.Save(folder.Path);
        using var loaded = CausalLanguageModel.Load(folder.Path);
        var logits = ArchitectureTests.Logits(model, [1, 2, 3]).ToDoubles();
        Assert.Equal(logits, ArchitectureTests.Logits(same, [1, 2, 3]).ToDoubles());
        Assert.Equal(logits, ArchitectureTests.Logits(loaded, [1, 2, 3]).ToDoubles());
        Assert.NotEqual(logits, ArchitectureTests.Logits(other, [1, 2, 3]).ToDoubles());
    }

    [Fact]
    public void New_matrices_have_deviation_002_and_norms_are_one()
    {
        using var scope = NewDisposeScope();
        using var model = new Llama(Small with { HiddenSize = 64, VocabularySize = 500 });
        foreach (var (name, parameter) in model.named_parameters())
        {
            if (parameter.dim() == 1)
                Assert.All(parameter.ToDoubles(), value => Assert.Equal(1, value));
            else
                Assert.True(Math.Abs(parameter.std().item<float>() - 0.02) < 0.002, name);
        }
    }

    /// <summary>What checkpoints carry beside the weights: constant frequencies (Llama 1), a copy of the tied embedding.</summary>
    [Fact]
    public void Stored_frequencies_and_a_tied_heads_copy_are_left_unread()
    {
        using var scope = NewDisposeScope();
        using var noGrad = no_grad();
        using var folder = new TemporaryFolder();
        using var model = new Llama(Small with { TieWordEmbeddings = true });
        model.Save(folder.Path);
        ModelWeights.Save(folder.Path,
        [
            .. model.named_parameters().Select(named => (named.name, (Tensor)named.parameter)),
            ("model.layers.0.self_attn.rotary_emb.inv_freq", ones(2)),
            ("lm_head.weight", model.Head.Weight!),
        ]);
        using var loaded = CausalLanguageModel.Load(folder.Path);
        Assert.Equal(ArchitectureTests.Logits(model, [1, 2, 3]).ToDoubles(), ArchitectureTests.Logits(loaded, [1, 2, 3]).ToDoubles());
    }

    /// <summary>A trained model.</summary>
    [SharedTheory("models/stories260K")]
    [InlineData("config.json")]
    [InlineData("config_v4.json")]
    public void Stories260K_tells_its_story(string config)
    {
        var source = Fixture.Shared("models", "stories260K")!;
        using var folder = new TemporaryFolder();
        File.Copy(Path.Combine(source, config), folder.File("config.json"));
        File.Copy(Path.Combine(source, "model.safetensors"), folder.File("model.safetensors"));
        using var model = CausalLanguageModel.Load(folder.Path);
        var expected = JsonDocument.Parse(File.ReadAllText(Path.Combine(source, "expected.json"))).RootElement;
        var (prompt, story) = (expected.GetProperty("greedy").GetProperty("prompt_ids").Ints(), expected.GetProperty("greedy").GetProperty("ids").Ints());

        var sampled = Sampler.Sample(model, [prompt], new() { MaxNewTokens = story.Length - prompt.Length, Temperature = 0 });
        Assert.Equal(story[prompt.Length..], sampled[0].Tokens);

        using var scope = NewDisposeScope();
        using var noGrad = no_grad();
        var batch = new PreferenceBatch([new(story[..1], [story[1..]], [])]).To(CPU);
        Numbers.AssertClose(
            expected.GetProperty("token_logprobs_of_greedy_ids").Doubles(), CompletionLogProbs.Compute(model, batch).PerToken.ToDoubles(), 5e-5, "token");
    }
}
