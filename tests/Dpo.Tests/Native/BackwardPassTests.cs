using TorchSharp;
using TorchSharp.Modules;
using static TorchSharp.torch;

namespace Dpo.Tests;

/// <summary>Gradients that go straight into a weight's own where all leaves are meant, and nowhere but into the answer where
/// <c>autograd.grad</c> asks for some.</summary>
[Collection(nameof(BackwardFailures))]
public class BackwardPassTests
{
    /// <summary>Tied and untied heads, with bias and soft cap; hidden states computed anew or kept.</summary>
    public static TheoryData<string, bool> Models => new()
    {
        { "gpt2", false }, { "gpt2", true }, { "gptj", false }, { "llama", false }, { "llama", true }, { "gemma2", false },
    };

    private static Tensor Loss(CausalLanguageModel model)
    {
        var batch = new PreferenceBatch(TrainerTests.Data(6).Examples).To(CPU);
        var logProbs = CompletionLogProbs.Compute(model, batch);
        return (logProbs.Sums * arange(1, batch.Layout.CompletionCount + 1).cos()).sum();
    }

    /// <summary>What of the model is reached by the graph itself: with checkpoints, what lies outside the blocks.</summary>
    private static (string Name, Parameter Parameter)[] Asked(TransformerModel model) =>
        [.. model.named_parameters().Where(named => !model.CheckpointActivations || named.name.Contains("embed", StringComparison.Ordinal)
            || named.name.Contains("wte", StringComparison.Ordinal) || named.name.Contains("lm_head", StringComparison.Ordinal))];

    private static double[][] Gradients(TransformerModel model) =>
        [.. Asked(model).Select(named => named.Parameter.grad!.flatten().ToDoubles())];

    private static void AssertSame(double[][] expected, IEnumerable<double[]> actual, string what)
    {
        foreach (var (one, other) in expected.Zip(actual))
            Numbers.AssertClose(one, other, 1e-5, what);
    }

    [Theory]
    [MemberData(nameof(Models))]
    public void Autograd_grad_answers_with_every_gradient_and_writes_none(string folder, bool checkpoint)
    {
        using var scope = NewDisposeScope();
        using var model = Architectures.Load(folder);
        model.CheckpointActivations = checkpoint;
        Loss(model).backward();
        var expected = Gradients(model);
        model.zero_grad();

        // One graph, walked in every way one after the other.
        var loss = Loss(model);
        Tensor[] asked = [.. Asked(model).Select(named => named.Parameter)];
        double[][] Answers() => [.. autograd.grad([loss], asked, retain_graph: true).Select(gradient => gradient.flatten().ToDoubles())];
        AssertSame(expected, Answers(), "asked for");
        Assert.All(model.parameters(), parameter => Assert.Null(parameter.grad));

        autograd.backward([loss], [ones_like(loss)], retain_graph: true, inputs: [asked[0]]);
        AssertSame(expected[..1], [asked[0].grad!.flatten().ToDoubles()], "one leaf's");
        Assert.All(model.parameters().Where(parameter => parameter.Handle != asked[0].Handle), parameter => Assert.Null(parameter.grad));
        asked[0].grad = null;

        loss.backward(retain_graph: true);
        AssertSame(expected, Gradients(model), "all leaves'");
        AssertSame(expected, Answers(), "asked for again");
        AssertSame(expected, Gradients(model), "as they were");
        BackwardFailure.Rethrow();
    }

    /// <summary>Log-probabilities of two calls in one loss, each with passes of its own.</summary>
    [Fact]
    public void Passes_over_several_computations_are_told_apart()
    {
        using var scope = NewDisposeScope();
        using var model = Architectures.Load("llama");
        Loss(model).backward();
        var single = Gradients(model);
        double[][] doubled = [.. single.Select(gradient => gradient.Select(value => 3 * value).ToArray())];
        model.zero_grad();
        var loss = Loss(model) + 2 * Loss(model);
        AssertSame(doubled, autograd.grad([loss], [.. model.parameters()], retain_graph: true).Select(gradient => gradient.flatten().ToDoubles()), "asked for");
        loss.backward();
        AssertSame(doubled, Gradients(model), "all leaves'");
    }

    [Fact]
    public void A_gradient_is_summed_up_where_it_is_only_if_the_pass_goes_everywhere()
    {
        using var scope = NewDisposeScope();
        using var pass = new BackwardPass();
        var weight = ones(3).requires_grad_();
        Assert.NotNull(new GradientSum(weight, null).Result);
        Assert.Null(weight.grad);
        var loss = pass.Over(weight * 2).sum();
        autograd.grad([loss], [weight], retain_graph: true);
        Assert.False(pass.GoesEverywhere);
        Assert.NotNull(new GradientSum(weight, pass).Result);
        loss.backward(retain_graph: true);
        Assert.True(pass.GoesEverywhere);
        var own = new GradientSum(weight, pass);
        own.Value.add_(ones(3));
        Assert.Null(own.Result);
        Assert.Equal([3, 3, 3], weight.grad!.ToDoubles());
        autograd.grad([loss], [weight]);
        Assert.False(pass.GoesEverywhere);
    }

    /// <summary>2²⁴ + 1 rounds to 2²⁴: two ones that are added where the gradient is are lost, their sum is not.</summary>
    [Fact]
    public void Backward_adds_to_an_embeddings_own_gradient_without_a_second_one()
    {
        using var scope = NewDisposeScope();
        using var embedding = new EmbeddingTable(7, 5);
        double Added(Func<Tensor> vectors)
        {
            using var large = 16777216.0.ToScalar();
            embedding.Weight.grad = full([7, 5], large, float32, CPU);
            vectors().sum().backward();
            return embedding.Weight.grad![3, 0].item<float>() - 16777216.0;
        }
        Assert.Equal(2, Added(() => embedding.call(tensor([3L, 3L]))));
        Assert.Equal(0, Added(() =>
        {
            using var pass = new BackwardPass();
            return pass.Over(embedding.call(tensor([3L, 3L])));
        }));
    }
}
