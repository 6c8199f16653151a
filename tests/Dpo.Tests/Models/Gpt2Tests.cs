using System.Text.Json;
using static TorchSharp.torch;

namespace Dpo.Tests;

public class Gpt2Tests
{
    public static TheoryData<string> Folders => ["gpt2", "gpt2_sharded"];

    /// <summary>The logits of one plain sequence, <c>[T, V]</c>.</summary>
    private static Tensor Logits(Transformer model, int[] ids) => model.Head.Logits(model.call(
        tensor(ids.Select(id => (long)id).ToArray()), new SequenceLayout([new(ids.Length, [])])));

    [Theory]
    [MemberData(nameof(Folders))]
    public void Logits_equal_transformers(string folder)
    {
        using var scope = NewDisposeScope();
        using var noGrad = no_grad();
        using var model = CausalLanguageModel.Load(Fixture.Path("models", folder));
        var expected = Numbers.Json("models", folder, "expected.json");
        foreach (var item in expected.GetProperty("logits").EnumerateArray())
        {
            var ids = expected.GetProperty("sequences")[item.GetProperty("sequence").GetInt32()].GetProperty("ids").Ints();
            var columns = tensor(item.GetProperty("vocab_ids").Ints().Select(id => (long)id).ToArray());
            var logits = Logits(model, ids);
            var values = item.GetProperty("values").EnumerateArray().SelectMany(row => row.Doubles()).ToArray();
            Numbers.AssertClose(values, logits.index_select(1, columns).flatten().ToDoubles(), 5e-5, "logits");
            Numbers.AssertClose(item.GetProperty("logsumexp").Doubles(), logits.logsumexp(1).ToDoubles(), 5e-5, "logsumexp");
            Assert.Equal(item.GetProperty("argmax").Ints(), logits.argmax(1).data<long>().Select(id => (int)id));
        }
    }

    [Theory]
    [MemberData(nameof(Folders))]
    public void Log_probabilities_equal_transformers(string folder)
    {
        using var scope = NewDisposeScope();
        using var noGrad = no_grad();
        using var model = CausalLanguageModel.Load(Fixture.Path("models", folder));
        foreach (var sequence in Numbers.Json("models", folder, "expected.json").GetProperty("sequences").EnumerateArray())
        {
            var ids = sequence.GetProperty("ids").Ints();
            var start = sequence.GetProperty("completion_start").GetInt32();
            var perToken = sequence.GetProperty("token_logprobs").Doubles();
            var batch = new PreferenceBatch([new(ids[..start], [ids[start..]], []), new(ids[..1], [ids[1..]], [])]);
            var logProbs = CompletionLogProbs.Compute(model, batch.To(CPU));

            Numbers.AssertClose([.. perToken[(start - 1)..], .. perToken], logProbs.PerToken.ToDoubles(), 5e-5, "per token");
            Numbers.AssertClose(
                [sequence.GetProperty("completion_logprob_sum").GetDouble(), sequence.GetProperty("total_logprob_sum").GetDouble()],
                logProbs.Sums.ToDoubles(), 1e-5, "sums");
            Assert.Equal([ids.Length - start, ids.Length - 1], logProbs.Counts.ToDoubles());
            Assert.Equal([0, ids.Length - start, 2 * ids.Length - start - 1], logProbs.Offsets);
        }
    }

    [Theory]
    [MemberData(nameof(Folders))]
    public void Greedy_text_equals_transformers(string folder)
    {
        using var model = CausalLanguageModel.Load(Fixture.Path("models", folder));
        GreedyText.AssertEqualsTransformers(model, folder);
    }

    [Fact]
    public void Older_config_spelling_gives_the_same_model()
    {
        using var folder = new TemporaryFolder();
        foreach (var (source, target) in new[] { ("config_v4.json", "config.json"), ("model.safetensors", "model.safetensors") })
            File.Copy(Fixture.Path("models", "gpt2", source), Path.Combine(folder.Path, target));
        using var scope = NewDisposeScope();
        using var noGrad = no_grad();
        using var model = CausalLanguageModel.Load(folder.Path);
        using var expected = CausalLanguageModel.Load(Fixture.Path("models", "gpt2"));
        int[] ids = [5, 80, 300, 12];
        Assert.Equal(Logits(expected, ids).ToDoubles(), Logits(model, ids).ToDoubles());
    }

    [Fact]
    public void A_saved_model_is_loaded_with_identical_weights_and_configuration()
    {
        using var scope = NewDisposeScope();
        using var folder = new TemporaryFolder();
        using var model = CausalLanguageModel.Load(Fixture.Path("models", "gpt2"));
        model.Save(folder.Path);
        using var loaded = CausalLanguageModel.Load(folder.Path);
        foreach (var ((name, parameter), (loadedName, loadedParameter)) in model.named_parameters().Zip(loaded.named_parameters()))
        {
            Assert.Equal(name, loadedName);
            Assert.True(parameter.eq(loadedParameter).all().item<bool>(), name);
        }
        var (before, after) = (Numbers.Json("models", "gpt2", "config.json"), JsonDocument.Parse(File.ReadAllText(Path.Combine(folder.Path, "config.json"))));
        Assert.True(JsonElement.DeepEquals(before, after.RootElement));
    }

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
        var logits = Logits(model, [1, 2, 3]).ToDoubles();
        Assert.Equal(logits, Logits(same, [1, 2, 3]).ToDoubles());
        Assert.Equal(logits, Logits(loaded, [1, 2, 3]).ToDoubles());
        Assert.NotEqual(logits, Logits(other, [1, 2, 3]).ToDoubles());
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
        Assert.Equal(Logits(model, [1, 2, 3]).ToDoubles(), Logits(loaded, [1, 2, 3]).ToDoubles());
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
        var exception = Assert.Throws<InvalidInputException>(() => Logits(model, [1, 2, 3, 4, 5]));
        Assert.Equal("A sequence has 5 tokens, but the model has 4 positions; shorten it with a smaller maximum length.", exception.Message);
    }

    [Fact]
    public void BFloat16_stays_near_float32()
    {
        using var scope = NewDisposeScope();
        using var noGrad = no_grad();
        using var model = CausalLanguageModel.Load(Fixture.Path("models", "gpt2"));
        var batch = new PreferenceBatch([new([5, 80, 300], [[12, 14, 15], [20, 0]], [new(0, 1)])]).To(CPU);
        var exact = CompletionLogProbs.Compute(model, batch).PerToken;
        model.Precision = Precision.BFloat16;
        var rounded = CompletionLogProbs.Compute(model, batch).PerToken;
        Assert.Equal(ScalarType.Float32, rounded.dtype);
        Numbers.AssertClose(exact.ToDoubles(), rounded.ToDoubles(), 0.03, "bf16");
        Assert.NotEqual(exact.ToDoubles(), rounded.ToDoubles());
    }
}
