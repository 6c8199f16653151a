using static TorchSharp.torch;

namespace Dpo.Tests;

/// <summary>Models with adapters, and what tests compare of them.</summary>
internal static class LoraModels
{
    /// <summary>The folders under <c>Fixtures/models</c> that every test of adapters runs on.</summary>
    public static TheoryData<string> Families => ["gpt2"];

    public static readonly LoraOptions Options = new() { Rank = 4, Alpha = 8, Seed = 3 };

    public static TransformerModel Load(string family) => CausalLanguageModel.Load(Fixture.Path("models", family));

    /// <summary>A fixture with an adapter that changes what it computes, as a trained one does.</summary>
    public static TransformerModel LoadAdapted(string family, LoraOptions? options = null)
    {
        var model = Load(family);
        model.AddLora(options ?? Options);
        Disturb(model);
        return model;
    }

    /// <summary>Gives every B values of its own.</summary>
    public static void Disturb(TransformerModel model, int seed = 1)
    {
        using var scope = NewDisposeScope();
        using var noGrad = no_grad();
        using var generator = new Generator((ulong)seed);
        foreach (var (name, parameter) in model.named_parameters())
        {
            if (name.Contains("lora_B", StringComparison.Ordinal))
                parameter.normal_(0, 0.1, generator);
        }
    }

    /// <summary>Two prompts with several completions each.</summary>
    public static PreferenceBatch Batch => new(
    [
        new([5, 80, 300, 12], [[14, 15, 2, 0], [20, 0]], [new(0, 1)]),
        new([7, 9], [[33, 0], [40, 41, 0]], [new(1, 0)]),
    ]);

    /// <summary>The log-probabilities of the batch's tokens, without gradients.</summary>
    public static double[] LogProbs(CausalLanguageModel model)
    {
        using var scope = NewDisposeScope();
        using var noGrad = no_grad();
        return CompletionLogProbs.Compute(model, Batch.To(CPU)).PerToken.ToDoubles();
    }

    /// <summary>The gradients of the parameters that have one, of a loss that weights every token differently.</summary>
    public static Dictionary<string, double[]> Gradients(CausalLanguageModel model)
    {
        using var scope = NewDisposeScope();
        model.zero_grad();
        var perToken = CompletionLogProbs.Compute(model, Batch.To(CPU)).PerToken;
        (perToken * arange(1, perToken.shape[0] + 1)).sum().backward();
        BackwardFailure.Rethrow();
        return model.named_parameters().Where(named => named.parameter.grad is not null)
            .ToDictionary(named => named.name, named => named.parameter.grad!.ToDoubles());
    }

    /// <summary>The values of all parameters by name.</summary>
    public static Dictionary<string, double[]> Values(nn.Module model) =>
        model.named_parameters().ToDictionary(named => named.name, named => named.parameter.detach().flatten().ToDoubles());

    public static bool IsAdapter(string name) => name.Contains(".lora_", StringComparison.Ordinal);

    /// <summary>|a − b| ≤ tolerance · max |a|: for gradients, whose size is no matter.</summary>
    public static void AssertRelative(double[] expected, double[] actual, double tolerance, string what)
    {
        Assert.Equal(expected.Length, actual.Length);
        var largest = expected.Max(Math.Abs);
        var error = expected.Zip(actual, (a, b) => Math.Abs(a - b)).Max();
        Assert.True(largest > 0 && error <= tolerance * largest, $"{what}: error {error} of {largest}");
    }
}
