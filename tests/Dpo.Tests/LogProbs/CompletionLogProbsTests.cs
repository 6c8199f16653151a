using static TorchSharp.torch;

namespace Dpo.Tests;

public class CompletionLogProbsTests
{
    /// <summary>One completion of 5,000 tokens among short ones.</summary>
    private static readonly int[] Counts = [3, 1, 5000, 17, 1, 256];

    private static readonly int[] Offsets = [.. Counts.Aggregate(new List<int> { 0 }, (offsets, count) => [.. offsets, offsets[^1] + count])];

    private static Tensor PerToken(ScalarType type) => rand([Offsets[^1]], generator: new Generator(5)).mul(-7).to(type);

    [Theory]
    [InlineData(ScalarType.Float32, 1e-7)]
    [InlineData(ScalarType.Float64, 1e-15)]
    public void Sums_and_their_gradients_are_each_completion_s(ScalarType type, double tolerance)
    {
        using var scope = NewDisposeScope();
        var perToken = PerToken(type).requires_grad_();
        var logProbs = new CompletionLogProbs(perToken, Offsets);
        var values = perToken.detach().ToDoubles();
        Assert.Equal(type, logProbs.Sums.dtype);
        Numbers.AssertClose([.. Counts.Select((count, s) => values.AsSpan(Offsets[s], count).ToArray().Sum())], logProbs.Sums.ToDoubles(), tolerance);
        Assert.Equal(Counts.Select(count => (double)count), logProbs.Counts.ToDoubles());
        Assert.Equal(float32, logProbs.Counts.dtype);

        double[] weights = [0.1, -2, 3.3, 4, 5, -0.7];
        (logProbs.Sums * tensor(weights).to(type)).sum().backward();
        Assert.Equal(Counts.SelectMany((count, s) => Enumerable.Repeat(type == float32 ? (float)weights[s] : weights[s], count)), perToken.grad!.ToDoubles());
    }

    [Fact]
    public void A_sum_depends_on_no_other_completion()
    {
        using var scope = NewDisposeScope();
        var perToken = PerToken(float32);
        var sums = new CompletionLogProbs(perToken, Offsets).Sums.ToDoubles();
        for (var s = 0; s < Counts.Length; s++)
            Assert.Equal(sums[s], new CompletionLogProbs(perToken.narrow(0, Offsets[s], Counts[s]), [0, Counts[s]]).Sums.ToDoubles()[0]);
        perToken[0] = double.NaN;
        perToken[^1] = double.NegativeInfinity;
        Assert.Equal([double.NaN, .. sums[1..^1], double.NegativeInfinity], new CompletionLogProbs(perToken, Offsets).Sums.ToDoubles());
    }

    [Theory]
    [InlineData(0, 2, 4)]
    [InlineData(0, 2, 6)]
    [InlineData(1, 2, 5)]
    [InlineData(0, 0, 5)]
    [InlineData(0, 7, 5)]
    [InlineData(5)]
    [InlineData]
    public void Offsets_of_other_tokens_are_refused(params int[] offsets)
    {
        using var scope = NewDisposeScope();
        var perToken = zeros(5);
        Assert.Contains("[5]", Assert.Throws<ArgumentException>(() => new CompletionLogProbs(perToken, offsets)).Message);
    }

    /// <summary>A loop of one's own that did not ask for it.</summary>
    [Fact]
    public void What_the_last_backward_pass_failed_with_ends_the_next_computation()
    {
        using var scope = NewDisposeScope();
        using var model = new LogitsModel(nn.Embedding(10, 10));
        var batch = new PreferenceBatch([new([5, 7], [[3, 0], [4, 0]], [new(0, 1)])]).To(CPU);
        BackwardFailure.Keep(new TimeoutException("no more"));
        BackwardFailure.Keep(new InvalidOperationException("a consequence"));
        Assert.Equal("no more", Assert.Throws<TimeoutException>(() => CompletionLogProbs.Compute(model, batch)).Message);
        Assert.Equal(2, CompletionLogProbs.Compute(model, batch).Sums.numel());
    }

    /// <summary>Where a token's logits are the row of a table that the token before it has, all that is said of it follows from that row. The
    /// second token is the likeliest.</summary>
    [Fact]
    public void Logits_of_a_module_give_what_is_said_of_every_token()
    {
        using var scope = NewDisposeScope();
        using var noGrad = no_grad();
        var table = randn([40, 40], generator: new Generator(3)).mul(3);
        var likeliest = (int)table[3].argmax().item<long>();
        using var model = new LogitsModel(nn.Embedding_from_pretrained(table));
        var batch = new PreferenceBatch([new([5, 7], [[3, likeliest, 0], [4, 0]], [new(0, 1)])]).To(CPU);
        var actual = CompletionLogProbs.Compute(model, batch, new() { LogSquaredProbs = true, Statistics = true });
        var (before, tokens) = (tensor([7L, 3, likeliest, 7, 4]), tensor([3L, likeliest, 0, 4, 0]));
        var logits = table.to(float64).index_select(0, before);
        var logProbs = logits.log_softmax(1);
        Numbers.AssertClose(logProbs.gather(1, tokens.unsqueeze(1)).flatten().ToDoubles(), actual.PerToken.ToDoubles(), 1e-5, "log-probabilities");
        Numbers.AssertClose(logProbs.exp().square().sum(1).log().ToDoubles(), actual.LogSquaredProbs!.ToDoubles(), 1e-5, "squares");
        Numbers.AssertClose((logProbs.exp() * logProbs).sum(1).neg().ToDoubles(), actual.Statistics!.Entropies.ToDoubles(), 1e-5, "entropies");
        Numbers.AssertClose(logits.mean([1]).ToDoubles(), actual.Statistics.MeanLogits.ToDoubles(), 1e-5, "means");
        Assert.Equal(logits.argmax(1).eq(tokens).ToDoubles(), actual.Statistics.Hits.ToDoubles());
        Assert.Equal(1, actual.Statistics.Hits[1].item<float>());
    }

    [Fact]
    public void Sums_leave_nothing_behind() => TensorCount.AssertFlat(() =>
    {
        using var scope = NewDisposeScope();
        var perToken = PerToken(float32).requires_grad_();
        new CompletionLogProbs(perToken, Offsets).Sums.sum().backward();
    });
}
