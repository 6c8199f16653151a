using static TorchSharp.torch;

namespace Dpo.Tests;

/// <summary>Sampling from a module that has no cache, against the same model with its cache.</summary>
public class WholeSamplingTests
{
    public static TheoryData<SamplingOptions> Ways =>
    [
        new() { Temperature = 0 },
        new() { Temperature = 0.8, TopP = 0.9, SamplesPerPrompt = 3, BatchSize = 4, EndOfTextIds = [0, 5] },
        new() { TopK = 4, RepetitionPenalty = 1.2, BatchSize = 2, Seed = 3 },
    ];

    [Theory]
    [MemberData(nameof(Ways))]
    public void A_module_s_completions_are_those_of_a_model_with_a_cache(SamplingOptions options)
    {
        using var model = SamplerTests.Model();
        using var module = new LogitsModel(new SharedPromptTests.Plain(model));
        options = options with { MaxNewTokens = 12 };
        var (expected, actual) = (new List<GeneratedToken>(), new List<GeneratedToken>());
        var withCache = Sampler.Sample(model, SamplerTests.Prompts, options, onToken: expected.Add);
        var without = Sampler.Sample(module, SamplerTests.Prompts, options, onToken: actual.Add);
        Assert.Equal(SamplerTests.Prompts.Length * options.SamplesPerPrompt, without.Count);
        Assert.Equal(withCache.Select(sample => sample.Tokens), without.Select(sample => sample.Tokens));
        Assert.Equal(
            withCache.Select(sample => (sample.PromptIndex, sample.SampleIndex, sample.StopReason)),
            without.Select(sample => (sample.PromptIndex, sample.SampleIndex, sample.StopReason)));
        static double[] LogProbs(IEnumerable<SampledCompletion> samples) =>
            [.. samples.SelectMany(sample => sample.LogProbs).Select(logProb => (double)logProb)];
        Numbers.AssertClose(LogProbs(withCache), LogProbs(without), 1e-5);
        Assert.Equal(
            expected.OrderBy(token => (token.PromptIndex, token.SampleIndex)).Select(token => token.Token),
            actual.OrderBy(token => (token.PromptIndex, token.SampleIndex)).Select(token => token.Token));
    }

    [Fact]
    public void What_cannot_be_sampled_is_refused_as_of_any_model()
    {
        using var module = new LogitsModel(new SharedPromptTests.Plain(SamplerTests.Model()));
        string Message(params int[][] prompts) => Assert.Throws<InvalidInputException>(() => Sampler.Sample(module, prompts)).Message;
        Assert.StartsWith("Prompt 1 has no token to continue from;", Message([1], []), StringComparison.Ordinal);
        Assert.StartsWith("Prompt 1 holds the token 11, but the model's vocabulary has 11 entries;", Message([1], [11]), StringComparison.Ordinal);
        Assert.Empty(Sampler.Sample(module, Array.Empty<int[]>()));
        using var cancelled = new CancellationTokenSource();
        var told = 0;
        Assert.Throws<OperationCanceledException>(() => Sampler.Sample(
            module, [[1]], new() { MaxNewTokens = 8 },
            onToken: _ =>
            {
                if (++told == 3)
                    cancelled.Cancel();
            },
            cancellationToken: cancelled.Token));
        Assert.Equal(3, told);
    }

    [Fact]
    public void No_tensor_is_left()
    {
        using var module = new LogitsModel(new SharedPromptTests.Plain(SamplerTests.Model()));
        void Sample() => Sampler.Sample(module, SamplerTests.Prompts, new() { MaxNewTokens = 5, SamplesPerPrompt = 2 });
        Sample();
        var before = Tensor.TotalCount;
        Sample();
        Assert.Equal(before, Tensor.TotalCount);
    }
}
