using static TorchSharp.torch;

namespace Dpo.Tests;

/// <summary>The head's KL from a reference against one of whole logits.</summary>
[Collection(nameof(BackwardFailures))]
public class ReferenceKlTests
{
    private const int Rows = 2600, Targets = 3100, Vocabulary = 4500, Width = 24, OtherWidth = 16;

    /// <summary>A policy of one width and a reference of another, in blocks as on the CPU, and in small and large ones.</summary>
    [Theory]
    [InlineData(false, null, false, 0L)]
    [InlineData(true, 5.0, false, 0L)]
    [InlineData(true, 5.0, true, 1L << 19)]
    [InlineData(false, null, true, 1L << 28)]
    public void Values_and_gradients_equal_the_whole_matrix(bool bias, double? softCap, bool lowRank, long memory)
    {
        using var scope = NewDisposeScope();
        var random = new Generator(3);
        Tensor Draw(params long[] shape) => randn(shape, generator: random);
        var hidden = Draw(Rows, Width + (lowRank ? 4 : 0)).requires_grad_();
        var weight = Draw(Vocabulary, Width).requires_grad_();
        var (offset, adapter) = (bias ? Draw(Vocabulary).requires_grad_() : null, lowRank ? Draw(Vocabulary, 4).requires_grad_() : null);
        var head = new OutputHead(weight, offset, softCap) { LowRank = adapter };
        var other = new OutputHead(Draw(Vocabulary, OtherWidth), bias ? Draw(Vocabulary) : null, bias ? 7 : null);
        var reference = new TokenDistributions(other, Draw(Rows, OtherWidth));
        var (rows, ids) = (randint(0, Rows, [Targets], dtype: int64, generator: random), randint(0, Vocabulary, [Targets], dtype: int64, generator: random));
        var (places, scale) = (randperm(Rows, generator: random), Draw(Targets + Rows));
        Tensor[] leaves = [hidden, weight, .. (Tensor?[])[offset, adapter] is var some ? some.OfType<Tensor>() : []];

        var logits = head.Logits(hidden.index_select(0, places));
        var logProbs = logits.index_select(0, rows).gather(1, ids.unsqueeze(1)).squeeze(1) - logits.logsumexp(1).index_select(0, rows);
        var q = other.Logits(reference.States).log_softmax(1);
        var expected = Run(cat([logProbs, (q.exp() * (q - logits.log_softmax(1))).sum(1)]));
        var blocks = memory == 0 ? HeadBlocks.OfCpu : HeadBlocks.Within(memory, Vocabulary, Width);
        var actual = Run(ChunkedHead.LogProbs(head, hidden, places, rows, ids, blocks, null, reference));
        foreach (var (index, (a, b)) in expected.Zip(actual).Index())
        {
            var difference = Math.Sqrt(a.Zip(b, (x, y) => (x - y) * (x - y)).Sum());
            Assert.True(difference <= 1e-5 * Math.Sqrt(a.Sum(value => value * value)), $"{index}: {difference}");
        }
        using (no_grad())
            Assert.Equal(actual[0], ChunkedHead.LogProbs(head, hidden, places, rows, ids, blocks, null, reference).ToDoubles());

        double[][] Run(Tensor values)
        {
            foreach (var leaf in leaves)
                leaf.grad?.zero_();
            (values * scale).sum().backward();
            BackwardFailure.Rethrow();
            return [values.ToDoubles(), .. leaves.Select(leaf => leaf.grad!.flatten().ToDoubles())];
        }
    }

    /// <summary>Of equal logits it is 0, and an entry that is ruled out in both counts nothing.</summary>
    [Fact]
    public void Of_the_model_itself_it_is_0_to_the_bit_and_what_neither_says_counts_nothing()
    {
        using var scope = NewDisposeScope();
        var random = new Generator(4);
        var bias = randn([Vocabulary], generator: random);
        bias[7] = double.NegativeInfinity;
        var (hidden, weight) = (randn([70, Width], generator: random).requires_grad_(), randn([Vocabulary, Width], generator: random));
        var head = new OutputHead(weight, bias);
        var (rows, ids) = (arange(70, int64), full([70], 3L, int64));
        var values = ChunkedHead.LogProbs(head, hidden, rows, rows, ids, HeadBlocks.OfCpu, null, new TokenDistributions(head, hidden));
        var kl = values.narrow(0, 70, 70);
        Assert.All(kl.ToDoubles(), value => Assert.Equal(0, value));
        kl.sum().backward();
        Assert.All(hidden.grad!.flatten().ToDoubles(), value => Assert.InRange(value, -1e-4, 1e-4));
        Assert.All(
            CompletionLogProbs.PlainKl(head.Logits(hidden), head.Logits(hidden)).ToDoubles(), value => Assert.Equal(0, value));
    }

    private static CausalLanguageModel Load(string name) => CausalLanguageModel.Load(Fixture.Path("models", name));

    private static BatchTensors Batch() => new PreferenceBatch(
        [new([5, 9, 200], [[17, 30, 0], [17, 31, 40, 41, 0]], [new(0, 1)]), new([300], [[2, 0], [8, 7, 6, 0], [99, 0]], [new(2, 1)])]).To(CPU);

    /// <summary>Of the fixtures' GPT-2s, with the gradients of all weights, against logits laid out whole: a prompt's completions share the row
    /// that predicts their first token.</summary>
    [Fact]
    public void Of_two_models_it_is_that_of_their_logits()
    {
        using var scope = NewDisposeScope();
        using CausalLanguageModel policy = Load("gpt2"), reference = Load("gpt2_sharded");
        var batch = Batch();
        CompletionLogProbs ofReference;
        using (no_grad())
            ofReference = CompletionLogProbs.Compute(reference, batch, new() { Distributions = true });
        var logProbs = CompletionLogProbs.Compute(policy, batch, new() { ReferenceKl = true, Statistics = true }, ofReference);
        Assert.NotNull(logProbs.Statistics);
        var scale = randn(logProbs.PerToken.shape, generator: new Generator(1));
        (logProbs.ReferenceKl! * scale + logProbs.PerToken).sum().backward();
        BackwardFailure.Rethrow();
        var actual = Gradients();

        policy.zero_grad();
        Tensor Logits(CausalLanguageModel model)
        {
            var hidden = model.call(batch.Ids, batch.Layout).index_select(0, tensor(batch.Layout.PredictingRows));
            return model.Head.Logits(hidden).index_select(0, tensor(batch.Layout.PredictionOfToken));
        }
        var (own, other) = (Logits(policy).log_softmax(1), Logits(reference).detach().log_softmax(1));
        var kl = (other.exp() * (other - own)).sum(1);
        var perToken = own.gather(1, batch.Targets.unsqueeze(1)).squeeze(1);
        (kl * scale + perToken).sum().backward();
        Assert.All(kl.ToDoubles(), value => Assert.True(value > 1e-3));
        Numbers.AssertClose(kl.ToDoubles(), logProbs.ReferenceKl!.ToDoubles(), 1e-5, "KL");
        Numbers.AssertClose(perToken.ToDoubles(), logProbs.PerToken.ToDoubles(), 1e-5, "log-probabilities");
        foreach (var (name, expected) in Gradients())
        {
            var norm = Math.Sqrt(expected.Sum(value => value * value));
            Assert.True(Math.Sqrt(expected.Zip(actual[name], (a, b) => (a - b) * (a - b)).Sum()) <= 1e-5 * Math.Max(norm, 1e-3), name);
        }

        Dictionary<string, double[]> Gradients() => policy.named_parameters().ToDictionary(named => named.name, named => named.parameter.grad!.flatten().ToDoubles());
    }

    /// <summary>In bf16 logits are rounded to 8 bits, for policy and reference alike.</summary>
    [Fact]
    public void In_bf16_it_stays_near()
    {
        using var scope = NewDisposeScope();
        using var pair = new PolicyReferencePair(Load("gpt2"), Load("gpt2_sharded"));
        using var noGrad = no_grad();
        var needs = new LogProbsRequest { ReferenceKl = true };
        var expected = pair.LogProbs(Batch(), needs).Policy.ReferenceKl!.ToDoubles();
        ((TransformerModel)pair.Policy).Precision = Precision.BFloat16;
        pair.WithReference(reference => ((TransformerModel)reference).Precision = Precision.BFloat16);
        var actual = pair.LogProbs(Batch(), needs).Policy.ReferenceKl!.ToDoubles();
        Assert.NotEqual(expected, actual);
        Assert.All(expected.Zip(actual), both => Assert.InRange(both.Second, 0.9 * both.First - 0.01, 1.1 * both.First + 0.01));
    }

    /// <summary>A pair made of the policy alone runs the reference on exchanged weights; the head's values stay those of the reference while
    /// the policy is computed.</summary>
    [Fact]
    public void A_pair_measures_it_against_the_weights_that_it_began_with()
    {
        using var scope = NewDisposeScope();
        using CausalLanguageModel untouched = Load("gpt2");
        using var alone = new PolicyReferencePair(Load("gpt2"));
        using var two = new PolicyReferencePair(Load("gpt2"), untouched);
        using (no_grad())
        {
            var random = new Generator(8);
            foreach (var (own, other) in alone.Policy.parameters().Zip(two.Policy.parameters()))
            {
                own.add_(randn(own.shape, generator: random) * 0.05);
                other.copy_(own);
            }
        }
        var needs = new LogProbsRequest { ReferenceKl = true };
        var (expected, actual) = (two.LogProbs(Batch(), needs).Policy, alone.LogProbs(Batch(), needs).Policy);
        Assert.All(expected.ReferenceKl!.ToDoubles(), value => Assert.True(value > 1e-4));
        Assert.Equal(expected.ReferenceKl!.ToDoubles(), actual.ReferenceKl!.ToDoubles());
        Assert.Null(alone.LogProbs(Batch()).Policy.ReferenceKl);
    }

    /// <summary>A module of a user's own, whose hidden states are the logits, on either side.</summary>
    [Theory]
    [InlineData(true, false)]
    [InlineData(false, true)]
    [InlineData(true, true)]
    public void Modules_that_give_logits_have_it_too(bool policyIsLogits, bool referenceIsLogits)
    {
        using var scope = NewDisposeScope();
        manual_seed(5);
        using CausalLanguageModel policy = policyIsLogits ? new LogitsModel(nn.Embedding(384, 384)) : Load("gpt2");
        using CausalLanguageModel reference = referenceIsLogits ? new LogitsModel(nn.Embedding(384, 384)) : Load("gpt2_sharded");
        var batch = Batch();
        Tensor Logs(CausalLanguageModel model) => model.Head.Logits(model.call(batch.Ids, batch.Layout).index_select(0, tensor(batch.Layout.PredictingRows)))
            .index_select(0, tensor(batch.Layout.PredictionOfToken)).log_softmax(1);
        var (own, other) = (Logs(policy), Logs(reference));
        var ofReference = CompletionLogProbs.Compute(reference, batch, new() { Distributions = true });
        var actual = CompletionLogProbs.Compute(policy, batch, new() { ReferenceKl = true }, ofReference);
        Numbers.AssertClose((other.exp() * (other - own)).sum(1).ToDoubles(), actual.ReferenceKl!.ToDoubles(), 1e-5, "KL");
        actual.ReferenceKl!.sum().backward();
        BackwardFailure.Rethrow();
        Assert.Contains(policy.parameters(), parameter => parameter.grad is { } grad && grad.abs().sum().item<float>() > 0);
        Assert.All(reference.parameters(), parameter => Assert.Null(parameter.grad));
    }

    [Fact]
    public void What_it_cannot_be_measured_against_is_refused()
    {
        using var scope = NewDisposeScope();
        using var pair = PolicyReferencePair.Load(Fixture.Path("models", "gpt2"));
        using var small = new LogitsModel(nn.Embedding(384, 50));
        var (batch, needs) = (Batch(), new LogProbsRequest { ReferenceKl = true });
        Assert.StartsWith(
            "The KL is measured against another model's distributions, and none were given;",
            Assert.Throws<InvalidOperationException>(() => CompletionLogProbs.Compute(pair.Policy, batch, needs)).Message, StringComparison.Ordinal);
        var ofSmall = CompletionLogProbs.Compute(small, new PreferenceBatch([new([5], [[2, 0]], [])]).To(CPU), new() { Distributions = true });
        Assert.Equal(
            "The model's vocabulary has 384 entries and the reference's 50, so there is no KL between their distributions; take models of one vocabulary, or another loss.",
            Assert.Throws<InvalidInputException>(() => CompletionLogProbs.Compute(pair.Policy, batch, needs, ofSmall)).Message);
    }
}
