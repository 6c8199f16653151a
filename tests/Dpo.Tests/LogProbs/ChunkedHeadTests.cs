using static TorchSharp.torch;

namespace Dpo.Tests;

/// <summary>The head in blocks against logits computed whole, with more rows and vocabulary entries than a block has.</summary>
[Collection(nameof(BackwardFailures))]
public class ChunkedHeadTests
{
    private const int States = 3000, Rows = 2600, Vocabulary = 4500, Width = 24, Targets = 3100;

    private sealed record Problem(Tensor Hidden, Tensor Weight, Tensor? Bias, Tensor Predicting, Tensor TargetRows, Tensor TargetIds, Tensor Scale)
    {
        private Tensor[] Leaves => [Hidden, Weight, .. Bias is null ? [] : (Tensor[])[Bias]];

        public static Problem Random(bool bias)
        {
            var random = new Generator(11);
            return new(
                (randn([States, Width], generator: random) * 2).requires_grad_(),
                randn([Vocabulary, Width], generator: random).requires_grad_(),
                bias ? randn([Vocabulary], generator: random).requires_grad_() : null,
                randperm(States, generator: random).narrow(0, 0, Rows),
                // Some rows have no target, some several.
                randint(0, Rows, [Targets], dtype: int64, generator: random),
                randint(0, Vocabulary, [Targets], dtype: int64, generator: random),
                randn([Targets], generator: random));
        }

        /// <summary>The log-probabilities, and the gradients of a weighted sum of them.</summary>
        public double[][] Run(Func<Problem, Tensor> logProbs)
        {
            foreach (var leaf in Leaves)
                leaf.grad?.zero_();
            var values = logProbs(this);
            (values * Scale).sum().backward();
            return [values.ToDoubles(), .. Leaves.Select(leaf => leaf.grad!.flatten().ToDoubles())];
        }

        public Tensor Whole(double? softCap)
        {
            var logits = new OutputHead(Weight, Bias, softCap).Logits(Hidden.index_select(0, Predicting));
            return logits.index_select(0, TargetRows).gather(1, TargetIds.unsqueeze(1)).squeeze(1) - logits.logsumexp(1).index_select(0, TargetRows);
        }
    }

    private static void AssertNear(double[][] expected, double[][] actual, double tolerance)
    {
        foreach (var (index, (a, b)) in expected.Zip(actual).Index())
        {
            var difference = Math.Sqrt(a.Zip(b, (x, y) => (x - y) * (x - y)).Sum());
            Assert.True(difference <= tolerance * Math.Sqrt(a.Sum(value => value * value)), $"{index}: {difference}");
        }
    }

    [Theory]
    [InlineData(false, null)]
    [InlineData(true, null)]
    [InlineData(true, 5.0)]
    public void Values_and_gradients_equal_the_whole_matrix(bool bias, double? softCap)
    {
        using var scope = NewDisposeScope();
        var problem = Problem.Random(bias);
        var expected = problem.Run(p => p.Whole(softCap));
        var actual = problem.Run(p => ChunkedHead.LogProbs(new(p.Weight, p.Bias, softCap), p.Hidden, p.Predicting, p.TargetRows, p.TargetIds, HeadBlocks.OfCpu));
        Numbers.AssertClose(expected[0], actual[0], 1e-5, "log-probabilities");
        AssertNear(expected, actual, 1e-5);
    }

    /// <summary>Blocks as on a GPU: some, in several pieces of rows and targets, and as few as there can be.</summary>
    [Theory]
    [InlineData(false, null, false, 1 << 19)]
    [InlineData(true, 5.0, false, 1 << 19)]
    [InlineData(true, null, true, 1 << 28)]
    [InlineData(false, 5.0, true, 1 << 28)]
    public void Large_blocks_give_the_same(bool bias, double? softCap, bool lowRank, long memory)
    {
        using var scope = NewDisposeScope();
        var problem = Problem.Random(bias);
        var adapter = lowRank ? randn([Vocabulary, 4], generator: new Generator(2)).requires_grad_() : null;
        foreach (var type in (ScalarType[])[ScalarType.Float32, ScalarType.BFloat16])
        {
            var blocks = HeadBlocks.Within(memory, Vocabulary, Width);
            var before = ChunkedHead.BlocksComputed;
            var actual = Run(blocks);
            var count = (Rows + blocks.Rows - 1) / blocks.Rows * ((Vocabulary + blocks.Columns - 1) / blocks.Columns);
            Assert.Equal(2 * count, ChunkedHead.BlocksComputed - before);
            AssertNear(Run(HeadBlocks.OfCpu), actual, type == ScalarType.Float32 ? 1e-5 : 3e-3);

            double[][] Run(HeadBlocks blocks)
            {
                adapter?.grad?.zero_();
                var statistics = new RowStatistics(Rows, CPU, new() { LogSquaredProbs = true, Statistics = true });
                var results = problem.Run(p =>
                {
                    var states = lowRank ? cat([p.Hidden, p.Hidden.narrow(1, 0, 4)], 1) : p.Hidden;
                    var head = new OutputHead(p.Weight, p.Bias, softCap) { LowRank = adapter };
                    return ChunkedHead.LogProbs(head, states.to(type), p.Predicting, p.TargetRows, p.TargetIds, blocks, statistics);
                });
                Tensor[] others = [statistics.LogSquaredProbs!, statistics.Entropies!, statistics.MeanLogits!, .. lowRank ? [adapter!.grad!.flatten()] : (Tensor[])[]];
                return [.. results, .. others.Select(values => values.ToDoubles())];
            }
        }
    }

    [Theory]
    [InlineData(false, null)]
    [InlineData(true, 5.0)]
    public void Statistics_are_those_of_the_whole_matrix(bool bias, double? softCap)
    {
        using var scope = NewDisposeScope();
        var problem = Problem.Random(bias);
        var head = new OutputHead(problem.Weight, problem.Bias, softCap);
        var logits = head.Logits(problem.Hidden.index_select(0, problem.Predicting)).detach().to(float64);
        var logOfAll = logits.log_softmax(1);
        double[][] expected =
        [
            (2 * logOfAll).logsumexp(1).ToDoubles(), (logOfAll.exp() * logOfAll).sum(1).neg().ToDoubles(),
            logits.mean([1]).ToDoubles(), logits.argmax(1).ToDoubles(),
        ];
        void AssertStatistics(bool squares, bool details, out Tensor logProbs)
        {
            var statistics = new RowStatistics(Rows, CPU, new() { LogSquaredProbs = squares, Statistics = details });
            logProbs = ChunkedHead.LogProbs(head, problem.Hidden, problem.Predicting, problem.TargetRows, problem.TargetIds, HeadBlocks.OfCpu, statistics);
            Tensor?[] actual = [statistics.LogSquaredProbs, statistics.Entropies, statistics.MeanLogits, statistics.Likeliest];
            Assert.Equal([squares, details, details, details], actual.Select(values => values is not null));
            foreach (var (index, values) in actual.Index().Where(item => item.Item is not null))
            {
                Assert.False(values!.requires_grad);
                Numbers.AssertClose(expected[index], values.ToDoubles(), 1e-5, $"statistic {index}");
            }
        }
        AssertStatistics(squares: true, details: true, out var withGradients);
        AssertStatistics(squares: true, details: false, out _);
        AssertStatistics(squares: false, details: true, out _);
        using var whole = RowStatistics.Of(logits.to(float32), new() { LogSquaredProbs = true, Statistics = true }).Likeliest;
        Assert.Equal(expected[3], whole!.ToDoubles());
        var without = problem.Run(p => ChunkedHead.LogProbs(head, p.Hidden, p.Predicting, p.TargetRows, p.TargetIds, HeadBlocks.OfCpu));
        AssertNear(without, problem.Run(_ => withGradients), 0);
        using var noGrad = no_grad();
        AssertStatistics(squares: true, details: true, out var withoutGradients);
        Assert.Equal(without[0], withoutGradients.ToDoubles());
    }

    [Fact]
    public void Without_gradients_the_values_are_the_same_to_the_bit()
    {
        using var scope = NewDisposeScope();
        var problem = Problem.Random(bias: true);
        Tensor Compute() => ChunkedHead.LogProbs(new(problem.Weight, problem.Bias), problem.Hidden, problem.Predicting, problem.TargetRows, problem.TargetIds, HeadBlocks.OfCpu);
        var expected = Compute().ToDoubles();
        using var noGrad = no_grad();
        Assert.Equal(expected, Compute().ToDoubles());
    }

    [Fact]
    public void BFloat16_states_give_fp32_values_near_the_exact_ones()
    {
        using var scope = NewDisposeScope();
        var problem = Problem.Random(bias: false);
        var expected = problem.Run(p => p.Whole(null));
        var actual = problem.Run(p => ChunkedHead.LogProbs(new(p.Weight), p.Hidden.to(bfloat16), p.Predicting, p.TargetRows, p.TargetIds, HeadBlocks.OfCpu));
        AssertNear(expected, actual, 0.02);
        Assert.NotEqual(expected[0], actual[0]);
    }

    /// <summary>Logits that bf16 holds exactly, so that nothing but the sum over the vocabulary can be wrong: in bf16, whose numbers
    /// near 100 are ½ apart, it would be off by 0.2, and a sum of many equal terms would stop at 256 of them.</summary>
    [Fact]
    public void BFloat16_states_have_their_probabilities_summed_in_fp32()
    {
        using var scope = NewDisposeScope();
        var random = new Generator(11);
        // One state has 100 and 99 in different blocks and the rest near 0, one half of that, one all logits 0.
        var weight = randn([Vocabulary, Width], generator: random).to(bfloat16).to(float32);
        weight[TensorIndex.Ellipsis, 0] *= 0.125f;
        weight[17, 0] = 100;
        weight[4321, 0] = 99;
        var hidden = zeros(3, Width);
        hidden[0, 0] = 1;
        hidden[1, 0] = 0.5f;
        long[] rows = [0, 0, 0, 1, 1, 1, 2, 2], targets = [17, 4321, 5, 17, 4321, 5, 17, 4000];
        var exact = hidden.to(float64).mm(weight.to(float64).t()).log_softmax(1);
        double[] expected = [.. rows.Zip(targets, (row, target) => exact[row, target].item<double>())];
        var actual = ChunkedHead.LogProbs(new(weight), hidden.to(bfloat16), arange(3), tensor(rows), tensor(targets), HeadBlocks.OfCpu);
        Numbers.AssertClose([-0.31326, -1.31326], expected[..2], 1e-4, "what they should be");
        Numbers.AssertClose(expected, actual.ToDoubles(), 2e-5, "log-probabilities");
        Numbers.AssertClose(-Math.Log(Vocabulary), actual[6].item<float>(), 1e-6, "all equal");
    }

    [Fact]
    public void Gradients_of_leaves_add_up_and_others_flow_on()
    {
        using var scope = NewDisposeScope();
        var problem = Problem.Random(bias: true);
        var actual = problem.Run(p =>
        {
            var first = ChunkedHead.LogProbs(new(p.Weight, p.Bias), p.Hidden, p.Predicting, p.TargetRows, p.TargetIds, HeadBlocks.OfCpu);
            return first + ChunkedHead.LogProbs(new(p.Weight * 2, p.Bias! * 2), p.Hidden * 0.5f, p.Predicting, p.TargetRows, p.TargetIds, HeadBlocks.OfCpu);
        });
        var expected = problem.Run(p =>
        {
            var logits = new OutputHead(p.Weight * 2, p.Bias! * 2).Logits((p.Hidden * 0.5f).index_select(0, p.Predicting));
            return p.Whole(null) + logits.index_select(0, p.TargetRows).gather(1, p.TargetIds.unsqueeze(1)).squeeze(1)
                - logits.logsumexp(1).index_select(0, p.TargetRows);
        });
        AssertNear(expected, actual, 1e-5);
    }

    [Fact]
    public void A_frozen_weight_gets_no_gradient()
    {
        using var scope = NewDisposeScope();
        var problem = Problem.Random(bias: true);
        problem.Weight.requires_grad = false;
        ChunkedHead.LogProbs(new(problem.Weight, problem.Bias), problem.Hidden, problem.Predicting, problem.TargetRows, problem.TargetIds, HeadBlocks.OfCpu).sum().backward();
        Assert.Null(problem.Weight.grad);
        Assert.NotNull(problem.Hidden.grad);
        Assert.NotNull(problem.Bias!.grad);
    }

    [Fact]
    public void What_fails_in_the_backward_pass_is_thrown_after_it()
    {
        using var scope = NewDisposeScope();
        var problem = Problem.Random(bias: false);
        var values = ChunkedHead.LogProbs(new(problem.Weight), problem.Hidden, problem.Predicting, problem.TargetRows, problem.TargetIds, HeadBlocks.OfCpu);
        using (no_grad())
            problem.Weight.set_(ones(3, Width)); // too few entries for the targets
        values.sum().backward();
        Assert.ThrowsAny<Exception>(BackwardFailure.Rethrow);
        BackwardFailure.Rethrow();
    }

    /// <summary>Entries that are ruled out by logits of −∞, a whole block and more of them, as padding of a vocabulary may be.</summary>
    [Theory]
    [InlineData(0, 3000)]
    [InlineData(100, 4400)]
    [InlineData(3, 5)]
    public void Logits_of_minus_infinity_count_nothing(int begin, int end)
    {
        using var scope = NewDisposeScope();
        var problem = Problem.Random(bias: true);
        using (no_grad())
            problem.Bias!.narrow(0, begin, end - begin).fill_(float.NegativeInfinity);
        // Of those, none is a target.
        problem.TargetIds.add_(begin == 0 ? end : 0).clamp_(0, Vocabulary - 1);
        if (begin > 0)
            problem.TargetIds.remainder_(begin);
        var statistics = new RowStatistics(Rows, CPU, new() { LogSquaredProbs = true, Statistics = true });
        var expected = problem.Run(p => p.Whole(null));
        var actual = problem.Run(p => ChunkedHead.LogProbs(new(p.Weight, p.Bias), p.Hidden, p.Predicting, p.TargetRows, p.TargetIds, HeadBlocks.OfCpu, statistics));
        Numbers.AssertClose(expected[0], actual[0], 1e-5, "log-probabilities");
        AssertNear(expected, actual, 1e-5);

        var logits = new OutputHead(problem.Weight, problem.Bias).Logits(problem.Hidden.index_select(0, problem.Predicting)).detach();
        var logOfAll = logits.to(float64).log_softmax(1);
        var entropies = (logOfAll.exp() * logOfAll).nan_to_num(0, 0, 0).sum(1).neg().ToDoubles();
        Assert.All(entropies, entropy => Assert.InRange(entropy, 0, Math.Log(Vocabulary)));
        using var whole = RowStatistics.Of(logits, new() { LogSquaredProbs = true, Statistics = true }).Entropies;
        Numbers.AssertClose(entropies, whole!.ToDoubles(), 1e-5, "of whole logits");
        Numbers.AssertClose(entropies, statistics.Entropies!.ToDoubles(), 1e-5, "by blocks");
        Numbers.AssertClose((2 * logOfAll).logsumexp(1).ToDoubles(), statistics.LogSquaredProbs!.ToDoubles(), 1e-5, "squares");
        Assert.Equal(logits.argmax(1).ToDoubles(), statistics.Likeliest!.ToDoubles());
        Assert.All(statistics.MeanLogits!.ToDoubles(), mean => Assert.Equal(double.NegativeInfinity, mean));
    }

    /// <summary>Logits whose distance to the lowest number is no number: a certain token, in the first block of the vocabulary or in a
    /// later one, leaves no entropy.</summary>
    [Fact]
    public void Logits_as_large_as_numbers_are_have_statistics_too()
    {
        using var scope = NewDisposeScope();
        var weight = zeros([Vocabulary, 2], float32, CPU);
        weight[17, 0] = 1e33f;
        weight[3000, 1] = 1e33f;
        var statistics = new RowStatistics(2, CPU, new() { LogSquaredProbs = true, Statistics = true });
        var actual = ChunkedHead.LogProbs(new(weight), eye(2), arange(2), arange(2), tensor([17L, 3000L]), HeadBlocks.OfCpu, statistics);
        Assert.Equal([0, 0], actual.ToDoubles());
        Assert.Equal([0, 0], statistics.Entropies!.ToDoubles());
        Assert.Equal([0, 0], statistics.LogSquaredProbs!.ToDoubles());
        Assert.Equal([17, 3000], statistics.Likeliest!.ToDoubles());
    }

    /// <summary>Target and vocabulary are multiplied in one precision, or a certain token's probability would not be 1: 1 + 2⁻¹⁰ is 1 in bf16,
    /// and the other entries' logits are 60 below it.</summary>
    [Theory]
    [InlineData(ScalarType.BFloat16, 60)]
    [InlineData(ScalarType.Float32, 60 + 60.0 / 1024)]
    public void A_targets_logit_is_computed_in_the_precision_of_the_blocks(ScalarType type, double gap)
    {
        using var scope = NewDisposeScope();
        var weight = zeros([Vocabulary, 1], float32, CPU);
        weight[7, 0] = 1 + 1f / 1024;
        var hidden = full([1, 1], 60, type, CPU);
        var actual = ChunkedHead.LogProbs(new(weight), hidden, zeros(1, int64), zeros(2, int64), tensor([7L, 4000L]), HeadBlocks.OfCpu).ToDoubles();
        Assert.Equal(0, actual[0]);
        Assert.Equal(-(float)gap, actual[1]);
    }
}
