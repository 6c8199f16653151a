using System.Text.Json;
using System.Text.Json.Nodes;

namespace Dpo.Tests;

/// <summary>Fields of <c>config.json</c> that are in range one by one and too much together, or beyond fp32.</summary>
public sealed class OverflowingConfigTests : IDisposable
{
    private readonly TemporaryFolder folder = new();

    public void Dispose() => folder.Dispose();

    public static TheoryData<string> Families => ["gpt2", "gptj", "gpt_neox", "llama", "mistral", "qwen2", "qwen3", "gemma2", "phi3", "roberta"];

    [Theory]
    [InlineData("llama")]
    [InlineData("mistral")]
    [InlineData("qwen2")]
    [InlineData("qwen3")]
    [InlineData("gemma2")]
    [InlineData("phi3")]
    public void Heads_whose_product_overflows_are_refused_by_field(string family)
    {
        // 65,536 times 65,536 is 0 in 32 bits; with as many again for keys and values 8,192 times 262,144 is.
        foreach (var (heads, size) in ((int, int)[])[(65536, 65536), (8192, 262144), (1 << 24, 1 << 24), (4097, 4096)])
        {
            Write(family, config =>
            {
                config["num_attention_heads"] = heads;
                config["num_key_value_heads"] = heads;
                config["head_dim"] = size;
            });
            Assert.Equal(
                $"{folder.File("config.json")}: `head_dim` is {size}; with num_attention_heads, {heads}, it makes layers of over 16777216 outputs.",
                Refusal(family));
        }
    }

    /// <summary>Every number of a configuration in turn made as large as it may be, and larger: the model is made and found not to fit its
    /// weights, or the field is refused; or it changes no shape. Nothing else happens.</summary>
    [Theory]
    [MemberData(nameof(Families))]
    public void A_number_as_large_as_can_be_is_refused_in_one_sentence(string family)
    {
        var numbers = JsonNode.Parse(File.ReadAllText(Fixture.Path("models", family, "config.json")))!.AsObject()
            .Where(field => field.Value?.GetValueKind() == JsonValueKind.Number).Select(field => field.Key).ToList();
        Assert.True(numbers.Count > 8);
        foreach (var field in numbers)
        {
            foreach (var value in (JsonNode[])[1 << 16, 1 << 24, int.MaxValue, long.MaxValue, 1e39, 1e308])
            {
                Write(family, config => config[field] = value.DeepClone());
                if (Refusal(family) is { } message)
                    Assert.StartsWith(folder.Path, message, StringComparison.Ordinal);
            }
        }
    }

    [Theory]
    [InlineData("llama", "rms_norm_eps")]
    [InlineData("gpt2", "layer_norm_epsilon")]
    [InlineData("roberta", "layer_norm_eps")]
    [InlineData("gemma2", "final_logit_softcapping")]
    public void A_number_beyond_fp32_is_refused_by_field(string family, string field)
    {
        Write(family, config => config[field] = 1e39);
        Assert.StartsWith($"{folder.File("config.json")}: `{field}` is 1E+39; it must be ", Refusal(family), StringComparison.Ordinal);
    }

    private void Write(string family, Action<JsonObject> change)
    {
        var config = JsonNode.Parse(File.ReadAllText(Fixture.Path("models", family, "config.json")))!.AsObject();
        change(config);
        folder.Write("config.json", config.ToJsonString());
        foreach (var file in Directory.GetFiles(Fixture.Path("models", family)))
        {
            if (!File.Exists(folder.File(Path.GetFileName(file))))
                File.Copy(file, folder.File(Path.GetFileName(file)));
        }
    }

    /// <summary>The message of a refusal, null where the folder is loaded; any other exception is the test's failure.</summary>
    private string? Refusal(string family)
    {
        try
        {
            using IDisposable model = family == "roberta" ? RobertaClassifier.Load(folder.Path) : CausalLanguageModel.Load(folder.Path);
            return null;
        }
        catch (InvalidInputException e)
        {
            return e.Message;
        }
    }
}
