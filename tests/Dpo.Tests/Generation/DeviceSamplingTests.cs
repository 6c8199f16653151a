using static TorchSharp.torch;

namespace Dpo.Tests;

/// <summary>Sampling as on a GPU, on the CPU: draws by operations, read a step late, and attention through LibTorch's.</summary>
public class DeviceSamplingTests
{
    private static readonly int[][] Prompts = [.. Enumerable.Range(0, 9).Select(prompt => (int[])[.. Enumerable.Range(0, 1 + (prompt * 5 % 11)).Select(token => (prompt * 31 + token * 17) % 61)])];

    private static TransformerModel Model(bool isLlama, Precision precision)
    {
        using var noGrad = no_grad();
        TransformerModel model = isLlama
            ? new Llama(new LlamaConfig { VocabularySize = 61, MaxPositions = 64, HiddenSize = 64, InnerSize = 96, LayerCount = 2, HeadCount = 4, KeyValueHeadCount = 2 }, seed: 1)
            : new Gpt2(new Gpt2Config { VocabularySize = 61, MaxPositions = 64, HiddenSize = 64, LayerCount = 2, HeadCount = 4 }, seed: 1);
        model.Precision = precision;
        // Far from flat, in the attention too.
        foreach (var parameter in model.parameters().Where(parameter => parameter.dim() > 1))
            parameter.mul_(6);
        return model;
    }

    private static IReadOnlyList<SampledCompletion> Sample(TransformerModel model, SamplingOptions options, bool onDevice, Action<GeneratedToken>? onToken = null)
    {
        using var strategies = onDevice ? DeviceStrategies.OnCpu() : null;
        return Sampler.Sample(model, Prompts, options, tokenizer: null, onToken);
    }

    public static TheoryData<SamplingOptions> Options =>
    [
        new(), new() { Temperature = 0 }, new() { TopK = 5, Temperature = 1.3 }, new() { TopP = 0.9, RepetitionPenalty = 1.2 },
    ];

    [Theory]
    [MemberData(nameof(Options))]
    public void Completions_are_those_of_the_CPU(SamplingOptions options)
    {
        foreach (var isLlama in (bool[])[false, true])
        {
            using var model = Model(isLlama, Precision.Float32);
            foreach (var (samples, batchSize) in ((int, int)[])[(1, 64), (1, 4), (5, 64), (5, 7), (5, 1)])
            {
                var asked = options with { MaxNewTokens = 20, EndOfTextIds = [0, 5, 9, 33], SamplesPerPrompt = samples, BatchSize = batchSize, Seed = 3 };
                var (host, device) = (Sample(model, asked, onDevice: false), Sample(model, asked, onDevice: true));
                Assert.True(host.Select(generation => generation.Tokens.Count).Distinct().Count() > 1, "All end together.");
                Assert.Equal(host.Select(generation => generation.Tokens), device.Select(generation => generation.Tokens));
                Assert.Equal(host.Select(generation => generation.StopReason), device.Select(generation => generation.StopReason));
                Numbers.AssertClose(LogProbs(host), LogProbs(device), 1e-5);
            }
        }
    }

    private static double[] LogProbs(IEnumerable<SampledCompletion> sampled) => [.. sampled.SelectMany(sample => sample.LogProbs).Select(logProb => (double)logProb)];

    [Theory]
    [InlineData(false, 1)]
    [InlineData(false, 4)]
    [InlineData(true, 1)]
    [InlineData(true, 4)]
    public void In_bf16_log_probabilities_are_the_models_but_for_rounding(bool isLlama, int samples)
    {
        using var scope = NewDisposeScope();
        using var noGrad = no_grad();
        using var model = Model(isLlama, Precision.BFloat16);
        var sampled = Sample(model, new() { MaxNewTokens = 20, EndOfTextIds = [0, 5], SamplesPerPrompt = samples, BatchSize = 6 }, onDevice: true);
        var batch = new PreferenceBatch([.. sampled.GroupBy(sample => sample.PromptIndex).Select(ofPrompt =>
            new TokenizedExample(Prompts[ofPrompt.Key], [.. ofPrompt.Select(sample => sample.Tokens)], []))]);
        var expected = CompletionLogProbs.Compute(model, batch.To(CPU)).PerToken.ToDoubles();
        double[] differences = [.. LogProbs(sampled).Zip(expected, (one, other) => Math.Abs(one - other))];
        Assert.InRange(differences.Average(), 0, 0.03);
        Assert.InRange(differences.Max(), 0, 0.3);
    }

    /// <summary>Per step those that go on come in the order of the result, and each completion's tokens in theirs.</summary>
    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void Tokens_are_told_in_order(bool onDevice)
    {
        using var model = Model(isLlama: false, Precision.Float32);
        var told = new List<GeneratedToken>();
        var options = new SamplingOptions { MaxNewTokens = 20, EndOfTextIds = [0, 5, 9, 33], SamplesPerPrompt = 5, BatchSize = 7 };
        var sampled = Sample(model, options, onDevice, told.Add);
        Assert.Equal(
            sampled.SelectMany(generation => generation.Tokens.Zip(generation.LogProbs, (token, logProb) => new GeneratedToken(generation.PromptIndex, generation.SampleIndex, token, logProb, ""))),
            told.OrderBy(token => (token.PromptIndex * 5) + token.SampleIndex));

        // Completions begin in the order of the result; a step ends where the order does.
        var firsts = told.DistinctBy(token => (token.PromptIndex, token.SampleIndex)).Select(token => (token.PromptIndex * 5) + token.SampleIndex);
        Assert.Equal(Enumerable.Range(0, 45), firsts);
        var steps = 1 + told.Zip(told.Skip(1), (one, next) => (next.PromptIndex, next.SampleIndex).CompareTo((one.PromptIndex, one.SampleIndex)) <= 0 ? 1 : 0).Sum();
        Assert.InRange(steps, told.Count / 7, (told.Count / 5) + 20);
    }

    /// <summary>Ends are seen a step late, but the limit is known before, and nothing is computed behind it.</summary>
    [Fact]
    public void Places_are_computed_for_tokens_that_are_wanted()
    {
        using var model = Model(isLlama: false, Precision.Float32);
        long Computed(SamplingOptions options, bool onDevice, out IReadOnlyList<SampledCompletion> sampled)
        {
            using var noGrad = no_grad();
            using var strategies = onDevice ? DeviceStrategies.OnCpu() : null;
            using var run = new SamplingRun(model, Prompts, options, null, null, CancellationToken.None);
            sampled = run.Complete();
            return run.ComputedPlaces;
        }
        foreach (var onDevice in (bool[])[false, true])
        {
            Assert.Equal(45 * 11, Computed(new() { MaxNewTokens = 12, SamplesPerPrompt = 5, BatchSize = 10 }, onDevice, out _));
            Assert.Equal(0, Computed(new() { MaxNewTokens = 1, SamplesPerPrompt = 5, BatchSize = 10 }, onDevice, out _));
        }
        var ending = new SamplingOptions { MaxNewTokens = 20, EndOfTextIds = [0, 5, 9, 33], SamplesPerPrompt = 5, BatchSize = 10 };
        var computed = Computed(ending, onDevice: false, out var generations);
        Assert.Equal(generations.Sum(generation => generation.Tokens.Count - 1), computed);
        Assert.InRange(Computed(ending, onDevice: true, out _), computed, computed + 45);
    }

    [Fact]
    public void It_leaves_no_tensor_behind()
    {
        using var model = Model(isLlama: true, Precision.Float32);
        void Sample()
        {
            foreach (var samples in (int[])[1, 3])
                DeviceSamplingTests.Sample(model, new() { MaxNewTokens = 9, EndOfTextIds = [0, 5, 9], SamplesPerPrompt = samples, BatchSize = 4, RepetitionPenalty = 1.1, TopP = 0.9 }, onDevice: true);
        }
        Sample();
        TensorCount.AssertFlat(Sample);
        TensorCount.AssertFlat(() => Assert.Throws<NotSupportedException>(() =>
            DeviceSamplingTests.Sample(model, new() { MaxNewTokens = 3 }, onDevice: true, _ => throw new NotSupportedException())));
    }
}
