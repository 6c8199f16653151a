using System.Text.Json;
using System.Text.Json.Nodes;
using TorchSharp;
using static TorchSharp.torch;

namespace Dpo.Tests;

/// <summary>Folders whose configuration ties the output head to the token embedding, and whose weights hold a head all the same.</summary>
public sealed class TiedHeadTests : IDisposable
{
    private readonly TemporaryFolder folder = new();
    private readonly DisposeScope scope = NewDisposeScope();

    public void Dispose()
    {
        scope.Dispose();
        folder.Dispose();
    }

    public static TheoryData<string, string> Layouts
    {
        get
        {
            var layouts = new TheoryData<string, string>();
            foreach (var family in (string[])["gpt2", "gpt_neox", "llama", "mistral", "qwen2", "qwen3", "gemma2", "phi3"])
            {
                foreach (var layout in (string[])["single", "sharded", "torch", "without prefix"])
                    layouts.Add(family, layout);
            }
            return layouts;
        }
    }

    [Theory]
    [MemberData(nameof(Layouts))]
    public void A_head_that_differs_is_used_and_saved_untied(string family, string layout)
    {
        var (tensors, vectors, head) = Tensors(family);
        tensors[head] = rand_like(tensors[vectors], device: CPU);
        tensors[head][^1, ^1] += 1e-3f; // the last of all values is looked at too
        var expected = Expected(family, tensors);

        Write("tied", family, tied: true, layout, tensors);
        using var model = CausalLanguageModel.Load(folder.File("tied"));
        Assert.Equal(expected, LoraModels.LogProbs(model));
        Assert.True(model.Head.Weight!.eq(tensors[head]).all().item<bool>());
        AssertHeadIsUsed(model, tensors[head]);

        model.Save(folder.File("saved"));
        Assert.False(JsonNode.Parse(File.ReadAllText(folder.File("saved/config.json")))!["tie_word_embeddings"]!.GetValue<bool>());
        using var saved = CausalLanguageModel.Load(folder.File("saved"));
        Assert.Equal(expected, LoraModels.LogProbs(saved));
    }

    [Fact]
    public void A_head_that_differs_in_its_last_value_alone_is_used()
    {
        var (tensors, vectors, head) = Tensors("llama");
        tensors[head] = tensors[vectors].clone();
        tensors[head][^1, ^1] += 1e-3f;
        Write("tied", "llama", tied: true, "single", tensors);
        using var model = CausalLanguageModel.Load(folder.File("tied"));
        Assert.True(model.Head.Weight!.eq(tensors[head]).all().item<bool>());
    }

    [Theory]
    [MemberData(nameof(Layouts))]
    public void An_equal_head_stays_tied(string family, string layout)
    {
        var (tensors, vectors, head) = Tensors(family);
        tensors[head] = tensors[vectors];
        var expected = Expected(family, tensors);

        Write("tied", family, tied: true, layout, tensors);
        using var model = CausalLanguageModel.Load(folder.File("tied"));
        Assert.Equal(expected, LoraModels.LogProbs(model));
        Assert.DoesNotContain(model.named_parameters(), named => named.name == head);
        model.Save(folder.File("saved"));
        Assert.True(JsonNode.Parse(File.ReadAllText(folder.File("saved/config.json")))!["tie_word_embeddings"]!.GetValue<bool>());
        using var file = new SafetensorsReader(folder.File("saved/model.safetensors"));
        Assert.DoesNotContain(head, file.Names);
    }

    [Fact]
    public void A_head_of_another_shape_is_refused_by_name()
    {
        var (tensors, _, head) = Tensors("llama");
        tensors[head] = ones(385, 32, device: CPU);
        Write("tied", "llama", tied: true, "single", tensors);
        Assert.Equal(
            $"{folder.File("tied/model.safetensors")}: tensor \"lm_head.weight\" has the shape [385, 32], but the shape [384, 32] is needed.",
            Assert.Throws<InvalidInputException>(() => CausalLanguageModel.Load(folder.File("tied"))).Message);
    }

    /// <summary>What the same weights give where the configuration says that they are not tied.</summary>
    private double[] Expected(string family, Dictionary<string, Tensor> tensors)
    {
        Write("untied", family, tied: false, "single", tensors);
        using var model = CausalLanguageModel.Load(folder.File("untied"));
        return LoraModels.LogProbs(model);
    }

    /// <summary>The values of the model's own path against the product with the head and a softmax over it.</summary>
    private static void AssertHeadIsUsed(TransformerModel model, Tensor head)
    {
        using var noGrad = no_grad();
        var batch = LoraModels.Batch.To(CPU);
        var hidden = model.call(batch.Ids, batch.Layout).index_select(0, tensor(batch.Layout.PredictingRows.ToArray(), device: CPU));
        var logits = new OutputHead(head, SoftCap: model.Head.SoftCap).Logits(hidden).to(float64).log_softmax(1);
        var rows = tensor(batch.Layout.PredictionOfToken.ToArray(), device: CPU);
        Numbers.AssertClose(
            logits.index_select(0, rows).gather(1, batch.Targets.unsqueeze(1)).squeeze(1).ToDoubles(), LoraModels.LogProbs(model), 1e-5);
    }

    /// <summary>A fixture's tensors without its head, the name of its embedding and of a head.</summary>
    private static (Dictionary<string, Tensor> Tensors, string Vectors, string Head) Tensors(string family)
    {
        using var file = new SafetensorsReader(Fixture.Path("models", family, "model.safetensors"));
        var vectors = family switch { "gpt2" => "transformer.wte.weight", "gpt_neox" => "gpt_neox.embed_in.weight", _ => "model.embed_tokens.weight" };
        var head = family == "gpt_neox" ? "embed_out.weight" : "lm_head.weight";
        return (file.Names.Where(name => name != head).ToDictionary(name => name, file.Read), vectors, head);
    }

    private void Write(string name, string family, bool tied, string layout, Dictionary<string, Tensor> tensors)
    {
        var config = JsonNode.Parse(File.ReadAllText(Fixture.Path("models", family, "config.json")))!;
        config["tie_word_embeddings"] = tied;
        folder.Write($"{name}/config.json", config.ToJsonString());
        var items = tensors.Select(item => (item.Key, item.Value)).ToList();
        if (layout == "without prefix")
            items = items.ConvertAll(item => (item.Key.Contains("head", StringComparison.Ordinal) || item.Key.Contains("embed_out", StringComparison.Ordinal) ? item.Key : item.Key[(item.Key.IndexOf('.') + 1)..], item.Value));
        if (layout == "torch")
        {
            folder.Write($"{name}/pytorch_model.bin", TorchFile.StateDict(items));
        }
        else if (layout == "sharded")
        {
            // The head in a file of its own.
            SafetensorsWriter.Write(folder.File($"{name}/a.safetensors"), items[..^1]);
            SafetensorsWriter.Write(folder.File($"{name}/b.safetensors"), items[^1..]);
            var map = items.ToDictionary(item => item.Key, item => item.Key == items[^1].Key ? "b.safetensors" : "a.safetensors");
            folder.Write($"{name}/model.safetensors.index.json", JsonSerializer.Serialize(new { weight_map = map }));
        }
        else
        {
            SafetensorsWriter.Write(folder.File($"{name}/model.safetensors"), items);
        }
    }
}
