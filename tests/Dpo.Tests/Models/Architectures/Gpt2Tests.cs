using static TorchSharp.torch;

namespace Dpo.Tests;

public class Gpt2Tests
{
    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public void A_new_model_is_seeded_and_survives_a_round_trip(bool tied)
    {
        using var scope = NewDisposeScope();
        using var noGrad = no_grad();
        using var folder = new TemporaryFolder();
        var config = new Gpt2Config { VocabularySize = 50, MaxPositions = 16, HiddenSize = 8, LayerCount = 2, HeadCount = 2, TieWordEmbeddings = tied };
        using var model = new Gpt2(config, seed: 3);
        using var same = new Gpt2(config, seed: 3);
        using var other = new Gpt2(config, seed: 4);
        model.Save(folder.Path);
        using var loaded = CausalLanguageModel.Load(folder.Path);
        var logits = ArchitectureTests.Logits(model, [1, 2, 3]).ToDoubles();
        Assert.Equal(logits, ArchitectureTests.Logits(same, [1, 2, 3]).ToDoubles());
        Assert.Equal(logits, ArchitectureTests.Logits(loaded, [1, 2, 3]).ToDoubles());
        Assert.NotEqual(logits, ArchitectureTests.Logits(other, [1, 2, 3]).ToDoubles());
    }

    [Fact]
    public void Names_without_the_body_prefix_and_stored_masks_are_accepted_as_the_hubs_gpt2_has_them()
    {
        using var scope = NewDisposeScope();
        using var noGrad = no_grad();
        using var folder = new TemporaryFolder();
        using var model = CausalLanguageModel.Load(Fixture.Path("models", "gpt2"));
        File.Copy(Fixture.Path("models", "gpt2", "config.json"), Path.Combine(folder.Path, "config.json"));
        ModelWeights.Save(folder.Path,
        [
            .. model.named_parameters().Select(named => (named.name["transformer.".Length..], (Tensor)named.parameter)),
            ("h.0.attn.bias", ones(1, 1, 128, 128)),
        ]);
        using var loaded = CausalLanguageModel.Load(folder.Path);
        Assert.Equal(ArchitectureTests.Logits(model, [1, 2, 3]).ToDoubles(), ArchitectureTests.Logits(loaded, [1, 2, 3]).ToDoubles());
    }

    [Theory]
    [InlineData("\"gelu_new\"", "\"relu\"", "activation_function")]
    [InlineData("\"model_type\": \"gpt2\"", "\"model_type\": \"mamba\"", "model_type")]
    [InlineData("\"scale_attn_by_inverse_layer_idx\": false", "\"scale_attn_by_inverse_layer_idx\": true", "scale_attn_by_inverse_layer_idx")]
    [InlineData("\"n_head\": 4", "\"n_head\": 5", "n_embd")]
    public void What_is_not_implemented_is_refused_by_field(string old, string replacement, string field)
    {
        using var folder = new TemporaryFolder();
        var config = File.ReadAllText(Fixture.Path("models", "gpt2", "config.json"));
        Assert.Contains(old, config, StringComparison.Ordinal);
        File.WriteAllText(Path.Combine(folder.Path, "config.json"), config.Replace(old, replacement, StringComparison.Ordinal));
        var exception = Assert.Throws<InvalidInputException>(() => CausalLanguageModel.Load(folder.Path));
        Assert.Contains(field, exception.Message, StringComparison.Ordinal);
        Assert.Contains("config.json", exception.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void A_sequence_longer_than_the_positions_is_refused()
    {
        using var scope = NewDisposeScope();
        using var model = new Gpt2(new Gpt2Config { VocabularySize = 9, MaxPositions = 4, HiddenSize = 4, LayerCount = 1, HeadCount = 1 });
        var exception = Assert.Throws<InvalidInputException>(() => ArchitectureTests.Logits(model, [1, 2, 3, 4, 5]));
        Assert.Equal("A sequence has 5 tokens, but the model has 4 positions; shorten it with a smaller maximum length.", exception.Message);
    }
}
