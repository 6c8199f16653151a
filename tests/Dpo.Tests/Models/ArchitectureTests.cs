using System.Text.Json;
using static TorchSharp.torch;

namespace Dpo.Tests;

/// <summary>Every architecture against transformers' numbers.</summary>
public class ArchitectureTests
{
    /// <summary>The logits of one plain sequence, <c>[T, V]</c>.</summary>
    internal static Tensor Logits(TransformerModel model, IReadOnlyList<int> ids) => model.Head.Logits(model.call(
        tensor(ids.Select(id => (long)id).ToArray()), new SequenceLayout([new(ids.Count, [])])));

    [Theory]
    [MemberData(nameof(Architectures.FoldersAndConfigs), MemberType = typeof(Architectures))]
    public void Logits_equal_transformers(string folder, string config)
    {
        using var scope = NewDisposeScope();
        using var noGrad = no_grad();
        using var model = Architectures.Load(folder, config);
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
    [MemberData(nameof(Architectures.FoldersAndConfigs), MemberType = typeof(Architectures))]
    public void Log_probabilities_equal_transformers(string folder, string config) => AssertLogProbabilities(folder, config, CPU);

    internal static void AssertLogProbabilities(string folder, string config, Device device)
    {
        using var scope = NewDisposeScope();
        using var noGrad = no_grad();
        using var model = Architectures.Load(folder, config, device);
        foreach (var sequence in Numbers.Json("models", folder, "expected.json").GetProperty("sequences").EnumerateArray())
        {
            var ids = sequence.GetProperty("ids").Ints();
            var start = sequence.GetProperty("completion_start").GetInt32();
            var perToken = sequence.GetProperty("token_logprobs").Doubles();
            var batch = new PreferenceBatch([new(ids[..start], [ids[start..]], []), new(ids[..1], [ids[1..]], [])]);
            var logProbs = CompletionLogProbs.Compute(model, batch.To(device));

            Numbers.AssertClose([.. perToken[(start - 1)..], .. perToken], logProbs.PerToken.ToDoubles(), 5e-5, "per token");
            Numbers.AssertClose(
                [sequence.GetProperty("completion_logprob_sum").GetDouble(), sequence.GetProperty("total_logprob_sum").GetDouble()],
                logProbs.Sums.ToDoubles(), 1e-5, "sums");
            Assert.Equal([ids.Length - start, ids.Length - 1], logProbs.Counts.ToDoubles());
            Assert.Equal([0, ids.Length - start, 2 * ids.Length - start - 1], logProbs.Offsets);
        }
    }

    [Theory]
    [MemberData(nameof(Architectures.Folders), MemberType = typeof(Architectures))]
    public void Greedy_text_equals_transformers(string folder)
    {
        using var model = Architectures.Load(folder);
        GreedyText.AssertEqualsTransformers(model, folder);
    }

    [Theory]
    [MemberData(nameof(Architectures.Folders), MemberType = typeof(Architectures))]
    public void Greedy_text_without_a_cache_equals_transformers(string folder)
    {
        using var scope = NewDisposeScope();
        using var noGrad = no_grad();
        using var model = Architectures.Load(folder);
        var greedy = Numbers.Json("models", folder, "expected.json").GetProperty("greedy");
        var ids = greedy.GetProperty("prompt").Ints().ToList();
        for (var step = 0; step < 16; step++)
            ids.Add((int)Logits(model, ids)[^1].argmax().item<long>());
        Assert.Equal(greedy.GetProperty("generated").Ints(), ids[^16..]);
    }

    [Theory]
    [MemberData(nameof(Architectures.Folders), MemberType = typeof(Architectures))]
    public void A_saved_model_is_loaded_with_identical_logits_and_configuration(string folder)
    {
        using var scope = NewDisposeScope();
        using var noGrad = no_grad();
        using var saved = new TemporaryFolder();
        using var model = Architectures.Load(folder);
        model.Save(saved.Path);
        using var loaded = CausalLanguageModel.Load(saved.Path);
        Assert.Equal(Logits(model, [5, 8, 30, 12]).ToDoubles(), Logits(loaded, [5, 8, 30, 12]).ToDoubles());
        foreach (var ((name, parameter), (loadedName, loadedParameter)) in model.named_parameters().Zip(loaded.named_parameters()))
        {
            Assert.Equal(name, loadedName);
            Assert.True(parameter.eq(loadedParameter).all().item<bool>(), name);
        }
        var before = File.ReadAllText(Fixture.Path("models", folder, "config.json")).Replace("bfloat16", "float32", StringComparison.Ordinal);
        var after = File.ReadAllText(saved.File("config.json"));
        Assert.True(JsonElement.DeepEquals(JsonDocument.Parse(before).RootElement, JsonDocument.Parse(after).RootElement));
    }

    [Theory]
    [MemberData(nameof(Architectures.Folders), MemberType = typeof(Architectures))]
    public void BFloat16_stays_near_float32(string folder) => AssertBFloat16(folder, CPU);

    internal static void AssertBFloat16(string folder, Device device)
    {
        using var scope = NewDisposeScope();
        using var noGrad = no_grad();
        using var model = Architectures.Load(folder, device: device);
        // Weights small enough that rounding does not grow from layer to layer.
        foreach (var (name, parameter) in model.named_parameters().Where(named => named.parameter.dim() > 1))
            parameter.mul_(Math.Min(1, 0.2 / parameter.std().item<float>()));
        var batch = new PreferenceBatch([new([5, 8, 30], [[12, 14, 15], [20, 0]], [new(0, 1)])]).To(device);
        var exact = CompletionLogProbs.Compute(model, batch).PerToken;
        model.Precision = Precision.BFloat16;
        var rounded = CompletionLogProbs.Compute(model, batch).PerToken;
        Assert.Equal(ScalarType.Float32, rounded.dtype);
        Numbers.AssertClose(exact.ToDoubles(), rounded.ToDoubles(), 0.03, "bf16");
        Assert.NotEqual(exact.ToDoubles(), rounded.ToDoubles());
    }
}
