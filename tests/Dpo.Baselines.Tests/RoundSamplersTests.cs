using Dpo.Tests;
using static TorchSharp.torch;

namespace Dpo.Baselines.Tests;

/// <summary>Who writes the completions of a round.</summary>
public class RoundSamplersTests
{
    private static readonly int[][] prompts = [[0], [1], [2]];

    [Fact]
    public void The_reference_writes_the_second_half()
    {
        using var pair = new PolicyReferencePair(Tabular.Policy(0, 50, 0, 0), Tabular.Policy(0, 0, 50, 0));
        var samples = new ReferenceSampler().Sample(
            pair, prompts, new SamplingOptions { SamplesPerPrompt = 4, MaxNewTokens = 2 }, null, CancellationToken.None);
        Assert.Equal(
            from prompt in Enumerable.Range(0, 3) from sample in Enumerable.Range(0, 4) select (prompt, sample, sample < 2 ? 1 : 2),
            samples.Select(sample => (sample.PromptIndex, sample.SampleIndex, sample.Tokens.Distinct().Single())));
    }

    /// <summary>At the beginning, where both are one model, halves are not copies of each other.</summary>
    [Fact]
    public void Each_half_has_draws_of_its_own()
    {
        using var pair = new PolicyReferencePair(Tabular.Policy(new double[50]));
        foreach (var sampler in (IRoundSampler[])[new ReferenceSampler(), new MixtureSampler()])
        {
            var samples = sampler.Sample(
                pair, prompts, new SamplingOptions { SamplesPerPrompt = 20, MaxNewTokens = 1 }, null, CancellationToken.None);
            var same = samples.Chunk(20).Average(of => of[..10].Zip(of[10..], (one, other) => one.Tokens[0] == other.Tokens[0] ? 1.0 : 0).Sum());
            Assert.True(same < 3, $"{same} of 10 are the same.");
            Assert.StartsWith(
                "Two models write half of a prompt's completions each, and SamplesPerPrompt is 3; make it even.",
                Assert.Throws<ArgumentException>(() => sampler.Sample(
                    pair, prompts, new SamplingOptions { SamplesPerPrompt = 3 }, null, CancellationToken.None)).Message,
                StringComparison.Ordinal);
        }
    }

    /// <summary>π^(1 − m) · π_ref^m over its sum: of two models, of a policy that has left its own initial weights behind, with a bias on
    /// the head (GPT-J), with an adapter over it, and of modules that answer with logits.</summary>
    [Theory]
    [InlineData("gpt2", "gpt2_sharded")]
    [InlineData("gptj", null)]
    [InlineData("llama", null)]
    [InlineData("tabular", null)]
    public void A_mixture_is_geometric(string name, string? other)
    {
        using var scope = NewDisposeScope();
        using var noGrad = no_grad();
        CausalLanguageModel policy = name == "tabular"
            ? Tabular.Policy([.. Enumerable.Range(0, 30).Select(token => Math.Sin(token))])
            : CausalLanguageModel.Load(Fixture.Path("models", name));
        if (policy is TransformerModel { Head.Weight: not null } transformer && name == "llama")
            transformer.AddLora(new LoraOptions { Rank = 2, TargetModules = ["lm_head"] });
        using var pair = other is null
            ? new PolicyReferencePair(policy)
            : new PolicyReferencePair(policy, CausalLanguageModel.Load(Fixture.Path("models", other)));
        if (other is null)
        {
            foreach (var parameter in policy.parameters().Where(parameter => parameter.requires_grad))
                parameter.add_(parameter.randn_like().mul_(0.3));
        }
        using var mixture = new GeometricMixture(pair, 0.3);
        var batch = new PreferenceBatch([new TokenizedExample([5, 6, 7], [[8, 9, 10, 0], [11, 12]], [])]).To(CPU);
        double[] Logits(CausalLanguageModel model) => LogSoftmax(model, batch).flatten().ToDoubles();
        var mixed = tensor(Logits(policy)).view(-1, Width(policy, batch)) * 0.7
            + (tensor(pair.WithReference(Logits)).view(-1, Width(policy, batch)) * 0.3);
        var expected = mixed.log_softmax(1);
        // The first tokens of both completions are predicted from one row.
        long[] rows = [2, 3, 4, 5, 2, 6], targets = [8, 9, 10, 0, 11, 12];
        var values = targets.Zip(rows, (target, row) => expected[row, target].ToDoubles()[0]).ToArray();
        var actual = CompletionLogProbs.Compute(mixture, batch).PerToken.ToDoubles();
        Numbers.AssertClose(values, actual, 1e-5);
        Assert.True(values.Zip(CompletionLogProbs.Compute(policy, batch).PerToken.ToDoubles(), (one, own) => Math.Abs(one - own)).Max() > 1e-2);

        static long Width(CausalLanguageModel model, BatchTensors batch) => LogSoftmax(model, batch).shape[1];
        static Tensor LogSoftmax(CausalLanguageModel model, BatchTensors batch) =>
            model.Head.Logits(model.call(batch.Ids, batch.Layout)).log_softmax(1);
    }

    /// <summary>Shares 0 and 1 are policy and reference, token for token; in between, and sampled, it is what it is computed to
    /// be.</summary>
    [Fact]
    public void A_mixture_is_sampled_from()
    {
        double[] own = [1, 0, -1, 0.5], reference = [-1, 1, 0.5, 0];
        using var pair = new PolicyReferencePair(Tabular.Policy(own), Tabular.Policy(reference));
        var sampling = new SamplingOptions { SamplesPerPrompt = 20000, MaxNewTokens = 1, BatchSize = 10000 };
        foreach (var share in (double[])[0, 0.25, 1])
        {
            var samples = new MixtureSampler(share).Sample(pair, [[0]], sampling, null, CancellationToken.None);
            var expected = Tabular.Normalized(own.Zip(reference, (one, other) => Math.Exp(((1 - share) * one) + (share * other))));
            var counts = samples.Skip(10000).CountBy(sample => sample.Tokens[0]).ToDictionary();
            // Four standard errors.
            foreach (var (token, probability) in expected.Index())
                Assert.Equal(probability, counts[token] / 10000.0, 4 * Math.Sqrt(probability * (1 - probability) / 10000));
        }
        Assert.Throws<ArgumentOutOfRangeException>(() => new MixtureSampler(1.5));
        using var capped = PolicyReferencePair.Load(Fixture.Path("models", "gemma2"));
        Assert.Contains(
            "soft cap", Assert.Throws<ArgumentException>(() => new GeometricMixture(capped, 0.5)).Message, StringComparison.Ordinal);
    }

    /// <summary>No tensor of a mixture is left, and the policy stays its owner's.</summary>
    [Fact]
    public void A_mixture_leaves_nothing_behind()
    {
        using var pair = PolicyReferencePair.Load(Fixture.Path("models", "gptj"));
        void Sample() => new MixtureSampler().Sample(
            pair, [[5]], new SamplingOptions { SamplesPerPrompt = 2, MaxNewTokens = 3 }, null, CancellationToken.None);
        Sample();
        GC.Collect();
        GC.WaitForPendingFinalizers();
        var count = Tensor.TotalCount;
        Sample();
        Assert.Equal(count, Tensor.TotalCount);
    }
}
