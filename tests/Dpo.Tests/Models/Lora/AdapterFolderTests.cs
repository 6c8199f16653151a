using System.Text.Json;
using System.Text.Json.Nodes;
using static TorchSharp.torch;

namespace Dpo.Tests;

public class AdapterFolderTests
{
    private const string ConfigName = "adapter_config.json";
    private const string WeightsName = "adapter_model.safetensors";

    public static TheoryData<string> Families => LoraModels.Families;

    private static string Fixture(params string[] parts) => Tests.Fixture.Path(["adapters", "gpt2", .. parts]);

    /// <summary>The fixture's values, as its README gives them.</summary>
    private static (Tensor A, Tensor B) Expected(int layer)
    {
        var a = Enumerable.Range(0, 4 * 32).Select(at => (at / 32 * 7 + at % 32 * 3 + layer) % 11 - 5).Select(value => value / 50.0);
        var b = Enumerable.Range(0, 96 * 4).Select(at => (at / 4 * 5 + at % 4 + layer) % 13 - 6).Select(value => value / 40.0);
        return (tensor(a.ToArray()).view(4, 32), tensor(b.ToArray()).view(96, 4));
    }

    [Fact]
    public void PEFTs_layout_is_read_and_computes_as_the_weights_with_the_change_added()
    {
        using var scope = NewDisposeScope();
        using var folder = new TemporaryFolder();
        using var model = LoraModels.Load("gpt2");
        using var changed = LoraModels.Load("gpt2");
        model.LoadAdapter(Fixture());
        var options = model.Lora!;
        Assert.Equal((4, 8, 0.05, false), (options.Rank, options.Alpha, options.Dropout, options.UseRsLora));
        Assert.Equal(["c_attn"], options.TargetModules);
        Assert.Equal(2 * 4 * (32 + 96), model.parameters().Where(parameter => parameter.requires_grad).Sum(parameter => parameter.numel()));

        using (no_grad())
        {
            foreach (var (name, parameter) in changed.named_parameters().Where(named => named.name.EndsWith("c_attn.weight", StringComparison.Ordinal)))
            {
                var (a, b) = Expected(layer: name.Contains("h.1", StringComparison.Ordinal) ? 1 : 0);
                parameter.add_((8 / 4.0 * b.mm(a)).t().to(float32)); // GPT-2's weights are [in, out]
            }
        }
        Numbers.AssertClose(LoraModels.LogProbs(changed), LoraModels.LogProbs(model), 1e-5);
        using var plain = LoraModels.Load("gpt2");
        Assert.True(LoraModels.LogProbs(plain).Zip(LoraModels.LogProbs(model), (x, y) => Math.Abs(x - y)).Max() > 0.05);
    }

    [Fact]
    public void PEFTs_layout_is_written()
    {
        using var folder = new TemporaryFolder();
        using var model = LoraModels.LoadAdapted("gpt2", new LoraOptions { Rank = 3, Alpha = 6.5, UseRsLora = true, Dropout = 0.25 });
        model.SaveAdapter(folder.Path);

        var expected = new JsonObject
        {
            ["peft_type"] = "LORA",
            ["task_type"] = "CAUSAL_LM",
            ["base_model_name_or_path"] = Tests.Fixture.Path("models", "gpt2"),
            ["inference_mode"] = true,
            ["r"] = 3,
            ["lora_alpha"] = 6.5,
            ["use_rslora"] = true,
            ["lora_dropout"] = 0.25,
            ["target_modules"] = new JsonArray("c_attn", "c_fc", "c_proj"),
            ["fan_in_fan_out"] = true,
            ["bias"] = "none",
            ["modules_to_save"] = null,
            ["init_lora_weights"] = true,
        };
        Assert.True(JsonNode.DeepEquals(expected, JsonNode.Parse(File.ReadAllText(folder.File(ConfigName)))));
        using var file = new SafetensorsReader(folder.File(WeightsName));
        string[] names = [.. new[] { 0, 1 }.SelectMany(block => new[] { "attn.c_attn", "attn.c_proj", "mlp.c_fc", "mlp.c_proj" }
            .SelectMany(name => new[] { 'A', 'B' }.Select(part => $"base_model.model.transformer.h.{block}.{name}.lora_{part}.weight")))];
        Assert.Equal(names, file.Names);
        Assert.All(names, name => Assert.Equal(ScalarType.Float32, file.Dtype(name)));
        Assert.Equal([3, 32], file.Shape(names[0]));
        Assert.Equal([96, 3], file.Shape(names[1]));
        Assert.Equal("pt", file.Metadata["format"]);
    }

    [Theory]
    [MemberData(nameof(Families))]
    public void A_saved_adapter_is_loaded_to_the_bit_merged_or_not(string family)
    {
        LoraOptions[] all =
        [
            LoraModels.Options,
            LoraModels.Options with { UseRsLora = true, Dropout = 0.1, BaseInBFloat16 = true },
            LoraModels.Options with { TargetPattern = @".*\.0\..*" },
        ];
        foreach (var options in all)
        {
            using var folder = new TemporaryFolder();
            using var model = LoraModels.LoadAdapted(family, options);
            var expected = LoraModels.LogProbs(model);
            model.MergeAdapter();
            model.SaveAdapter(folder.Path);

            using var loaded = LoraModels.Load(family);
            loaded.LoadAdapter(folder.Path, options.BaseInBFloat16);
            Assert.Equal(expected, LoraModels.LogProbs(loaded));
            Assert.Equal(LoraModels.Values(model), LoraModels.Values(loaded));
            Assert.Equal(
                options with { Seed = 0, TargetModules = [] },
                loaded.Lora! with { TargetModules = [] });
            loaded.MergeAdapter();
            Assert.Equal(LoraModels.LogProbs(model), LoraModels.LogProbs(loaded));
            Numbers.AssertClose(expected, LoraModels.LogProbs(loaded), 1e-5);
        }
    }

    [Fact]
    public void A_name_that_the_model_does_not_have_is_left_to_the_tensors()
    {
        using var folder = Changed(config => config["target_modules"] = new JsonArray("q_proj", "c_attn"));
        using var model = LoraModels.Load("gpt2");
        model.LoadAdapter(folder.Path);
        Assert.Equal(["c_attn"], model.Lora!.TargetModules);
    }

    [Theory]
    [InlineData("peft_type", "\"LOHA\"", "`peft_type` is \"LOHA\"; Dpo implements LORA for adapters.")]
    [InlineData("task_type", "\"SEQ_CLS\"", "`task_type` is \"SEQ_CLS\"; Dpo implements CAUSAL_LM for adapters.")]
    [InlineData("bias", "\"some\"", "`bias` is \"some\"; Dpo implements none, all, lora_only for adapters.")]
    [InlineData("init_lora_weights", "\"pissa\"", "`init_lora_weights` is \"pissa\"; Dpo implements gaussian, eva, orthogonal for adapters.")]
    [InlineData("use_dora", "true", "`use_dora` is true; Dpo implements adapters without it.")]
    [InlineData("modules_to_save", "[3]", "`modules_to_save` is [3]; it must be a list of strings.")]
    [InlineData("rank_pattern", "{\"c_attn\":0}", "`rank_pattern` is {\"c_attn\":0}; it must be an object of patterns and whole numbers from 1 on.")]
    [InlineData("rank_pattern", "{\"c_attn\":16777217}", "`rank_pattern` is {\"c_attn\":16777217}; it must be an object of patterns and whole numbers from 1 on.")]
    [InlineData("rank_pattern", "{\"(\":2}", "The pattern \"(\" is no regular expression: ")]
    [InlineData("alpha_pattern", "[8]", "`alpha_pattern` is [8]; it must be an object of patterns and numbers above 0.")]
    [InlineData("ensure_weight_tying", "true", "`ensure_weight_tying` is true; Dpo implements adapters without it.")]
    [InlineData("layers_to_transform", "[0]", "`layers_to_transform` is [0]; Dpo implements adapters without it.")]
    [InlineData("exclude_modules", "\"c_attn\"", "`exclude_modules` is \"c_attn\"; Dpo implements adapters without it.")]
    [InlineData("lora_bias", "true", "`lora_bias` is true; Dpo implements adapters without it.")]
    [InlineData("of_next_year", "3", "`of_next_year` is 3; Dpo implements adapters without it.")]
    [InlineData("r", "0", "`r` is 0; it must be a whole number from 1 to 16777216.")]
    [InlineData("r", "16777217", "`r` is 16777217; it must be a whole number from 1 to 16777216.")]
    [InlineData("lora_alpha", "0", "`lora_alpha` is 0; it must be above 0.")]
    [InlineData("lora_dropout", "1", "`lora_dropout` is 1; it must be below 1.")]
    [InlineData("use_rslora", "1", "`use_rslora` is 1; it must be true or false.")]
    [InlineData("target_modules", "null", "`target_modules` is missing; it must be a list of names, or a pattern.")]
    [InlineData("target_modules", "[1]", "`target_modules` is [1]; it must be a list of names, or a pattern.")]
    [InlineData("target_modules", "[\"q_proj\"]", "The target module \"q_proj\" matches no linear layer that takes an adapter; the model's are c_attn, c_fc, c_proj, and lm_head.")]
    [InlineData("target_modules", "\"(\"", "The target pattern \"(\" is no regular expression: ")]
    public void What_is_not_implemented_is_refused_by_field_and_leaves_the_model_as_it_was(string field, string value, string message)
    {
        using var folder = Changed(config => config[field] = JsonNode.Parse(value));
        AssertRefused(folder, $"{folder.File(ConfigName)}: {message}");
    }

    [Theory]
    [InlineData("gaussian")]
    [InlineData("eva")]
    public void Initializations_that_leave_the_base_alone_are_accepted(string initialization)
    {
        using var folder = Changed(config => config["init_lora_weights"] = initialization);
        using var model = LoraModels.Load("gpt2");
        model.LoadAdapter(folder.Path);
        Assert.NotNull(model.Lora);
    }

    [Fact]
    public void Tensors_that_do_not_fit_are_refused_by_name()
    {
        using (var larger = Changed(config => config["target_modules"] = new JsonArray("c_attn", "c_fc")))
            AssertRefused(larger, $"{larger.File(WeightsName)} lacks what the model needs: \"base_model.model.transformer.h.0.mlp.c_fc.lora_A.weight\", ");
        using (var smaller = Changed(config => config["target_modules"] = new JsonArray("0.attn.c_attn")))
            AssertRefused(smaller, $"{smaller.File(WeightsName)} holds what the model does not have: \"base_model.model.transformer.h.1.attn.c_attn.lora_A.weight\" (in {WeightsName}), ");
        using (var thinner = Changed(config => config["r"] = 2))
            AssertRefused(thinner, $"{thinner.File(WeightsName)}: tensor \"base_model.model.transformer.h.0.attn.c_attn.lora_A.weight\" has the shape [4, 32], but the shape [2, 32] is needed.");
    }

    [Fact]
    public void Missing_files_are_refused()
    {
        using var folder = new TemporaryFolder();
        AssertRefused(folder, $"{folder.Path} has no {ConfigName}; give the folder of an adapter in PEFT's layout.");
        File.Copy(Fixture(ConfigName), folder.File(ConfigName));
        AssertRefused(folder, $"{folder.File(WeightsName)} cannot be read: ");
        folder.Write(ConfigName, "{");
        AssertRefused(folder, $"{folder.File(ConfigName)} is not valid JSON");
    }

    private static void AssertRefused(TemporaryFolder folder, string message)
    {
        using var model = LoraModels.Load("gpt2");
        var exception = Assert.Throws<InvalidInputException>(() => model.LoadAdapter(folder.Path));
        Assert.StartsWith(message, exception.Message, StringComparison.Ordinal);
        Assert.Null(model.Lora);
        Assert.All(model.parameters(), parameter => Assert.True(parameter.requires_grad));
        Assert.DoesNotContain(model.named_parameters(), named => LoraModels.IsAdapter(named.name));
    }

    /// <summary>The fixture with another configuration.</summary>
    private static TemporaryFolder Changed(Action<JsonObject> change)
    {
        var folder = new TemporaryFolder();
        var config = JsonNode.Parse(File.ReadAllText(Fixture(ConfigName)))!.AsObject();
        change(config);
        folder.Write(ConfigName, config.ToJsonString(new JsonSerializerOptions()));
        File.Copy(Fixture(WeightsName), folder.File(WeightsName));
        return folder;
    }
}
