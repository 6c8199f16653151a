namespace Dpo.Tests;

/// <summary>The greedy text of the parity fixtures.</summary>
internal static class GreedyText
{
    /// <summary>Asserts it alone, beside prompts of other lengths, and for several samples of a prompt.</summary>
    public static void AssertEqualsTransformers(TransformerModel model, string folder)
    {
        var greedy = Numbers.Json("models", folder, "expected.json").GetProperty("greedy");
        var (prompt, expected) = (greedy.GetProperty("prompt").Ints(), greedy.GetProperty("generated").Ints());
        var options = new SamplingOptions { MaxNewTokens = 16, Temperature = 0 };
        Assert.Equal(expected, Assert.Single(Sampler.Sample(model, [prompt], options)).Tokens);
        int[][] prompts = [[.. prompt, 7, 9, 11], prompt, [3]];
        Assert.Equal(expected, Sampler.Sample(model, prompts, options)[1].Tokens);
        var samples = Sampler.Sample(model, prompts, options with { SamplesPerPrompt = 3 });
        Assert.All(samples.Skip(3).Take(3), sample => Assert.Equal(expected, sample.Tokens));
    }
}
