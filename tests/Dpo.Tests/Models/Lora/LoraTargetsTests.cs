namespace Dpo.Tests;

public class LoraTargetsTests
{
    private static string[] Find(LoraOptions options)
    {
        using var model = LoraModels.Load("gpt2");
        return [.. LoraTargets.Find(model, options).Select(layer => layer.Name)];
    }

    private static string Refusal(LoraOptions options) => Assert.Throws<InvalidInputException>(() => Find(options)).Message;

    [Fact]
    public void All_linear_layers_of_the_blocks_are_the_default()
    {
        string[] expected = [.. new[] { 0, 1 }.SelectMany(block => new[] { "attn.c_attn", "attn.c_proj", "mlp.c_fc", "mlp.c_proj" }
            .Select(name => $"transformer.h.{block}.{name}"))];
        Assert.Equal(expected, Find(new LoraOptions()));
        Assert.Equal(expected, Find(new LoraOptions { TargetModules = ["all-linear"] }));
    }

    [Theory]
    [InlineData("c_attn", 2)]
    [InlineData("c_proj", 4)]
    [InlineData("attn.c_proj", 2)]
    [InlineData("0.attn.c_proj", 1)]
    [InlineData("transformer.h.1.mlp.c_fc", 1)]
    public void A_name_is_a_whole_name_or_its_end_behind_a_dot(string target, int count)
    {
        var found = Find(new LoraOptions { TargetModules = [target] });
        Assert.Equal(count, found.Length);
        Assert.All(found, name => Assert.True(name == target || name.EndsWith("." + target, StringComparison.Ordinal)));
    }

    [Fact]
    public void Names_add_up_and_a_pattern_matches_whole_names()
    {
        Assert.Equal(4, Find(new LoraOptions { TargetModules = ["c_attn", "c_fc", "mlp.c_fc"] }).Length);
        Assert.Equal(["transformer.h.1.attn.c_attn", "transformer.h.1.attn.c_proj"], Find(new LoraOptions { TargetPattern = @".*\.1\.attn\..*" }));
        Assert.Equal(2, Find(new LoraOptions { TargetPattern = @"transformer\.h\.0\.mlp\.c_fc|.*h\.1\.mlp\.c_fc" }).Length);
        Assert.Equal(
            "The target pattern \"c_attn\" matches no linear layer that takes an adapter; the model's are c_attn, c_fc, c_proj, and lm_head.",
            Refusal(new LoraOptions { TargetPattern = "c_attn" }));
    }

    [Theory]
    [InlineData("attn")] // a module, but not a linear layer
    [InlineData("_attn")] // an end, but not behind a dot
    [InlineData("wte")]
    [InlineData("q_proj")]
    public void A_name_that_is_no_linear_layers_is_refused(string target) => Assert.Equal(
        $"The target module \"{target}\" matches no linear layer that takes an adapter; the model's are c_attn, c_fc, c_proj, and lm_head.",
        Refusal(new LoraOptions { TargetModules = ["c_attn", target] }));

    [Fact]
    public void The_output_head_takes_an_adapter_where_it_is_named()
    {
        using var model = new Gpt2(TrainerTests.Shape with { TieWordEmbeddings = false });
        Assert.DoesNotContain(LoraTargets.Find(model, new LoraOptions()), layer => layer.Name == "lm_head");
        Assert.Equal(["lm_head"], LoraTargets.Find(model, new LoraOptions { TargetModules = ["lm_head"] }).Select(layer => layer.Name));
        Assert.Equal(["lm_head"], LoraTargets.Find(model, new LoraOptions { TargetPattern = "lm_.*" }).Select(layer => layer.Name));
    }

    [Fact]
    public void Empty_lists_and_broken_or_endless_patterns_are_refused()
    {
        Assert.StartsWith("An empty list of target modules matches no linear layer", Refusal(new LoraOptions { TargetModules = [] }), StringComparison.Ordinal);
        Assert.StartsWith("The target pattern \"(\" is no regular expression: ", Refusal(new LoraOptions { TargetPattern = "(" }), StringComparison.Ordinal);
        Assert.Equal(
            "The target pattern \"(([a-z0-9._]+)+)+X\" takes over a second to match \"transformer.h.0.attn.c_attn\"; give a simpler one.",
            Refusal(new LoraOptions { TargetPattern = "(([a-z0-9._]+)+)+X" }));
    }
}
