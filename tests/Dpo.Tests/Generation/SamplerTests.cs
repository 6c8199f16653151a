using static TorchSharp.torch;

namespace Dpo.Tests;

public class SamplerTests
{
    internal static readonly int[][] Prompts = [[1, 2, 3], [4], [2, 2], [7, 3, 1, 5, 9], [4]];

    /// <summary>A model whose distribution is far from flat, so that wrong temperatures and masks show.</summary>
    internal static Gpt2 Model(Precision precision = Precision.Float32)
    {
        using var noGrad = no_grad();
        var model = new Gpt2(new Gpt2Config { VocabularySize = 11, MaxPositions = 40, HiddenSize = 8, LayerCount = 2, HeadCount = 2 }, seed: 2) { Precision = precision };
        foreach (var parameter in model.parameters().Where(parameter => parameter.dim() > 1))
            parameter.mul_(25);
        return model;
    }

    private static IEnumerable<IReadOnlyList<int>> Tokens(IEnumerable<SampledCompletion> generations) => generations.Select(generation => generation.Tokens);

    [Fact]
    public void Draws_follow_the_models_distribution_at_the_temperature()
    {
        using var scope = NewDisposeScope();
        using var model = Model();
        using var noGrad = no_grad();
        const int draws = 20000;
        var sampled = Sampler.Sample(model, [[1, 2]], new() { MaxNewTokens = 1, Temperature = 2, SamplesPerPrompt = draws, BatchSize = draws / 3, Seed = 7 });

        var logits = model.Head.Logits(model.call(tensor(new[] { 1L, 2L }), new SequenceLayout([new(2, [])])))[1];
        var expected = (logits / 2).softmax(0).ToDoubles();
        Assert.True(expected.Max() - expected.Min() > 0.1, "The model is too flat to tell temperatures apart.");
        Assert.Equal(Enumerable.Range(0, draws), sampled.Select(generation => generation.SampleIndex));
        for (var id = 0; id < 11; id++)
            Assert.InRange(sampled.Count(generation => generation.Tokens[0] == id) / (double)draws, expected[id] - 0.02, expected[id] + 0.02);
    }

    public static TheoryData<SamplingOptions> Distributions =>
    [
        new(), new() { Temperature = 0 }, new() { Temperature = 0.7, TopK = 4 }, new() { TopP = 0.8 }, new() { RepetitionPenalty = 1.3 },
    ];

    [Theory]
    [MemberData(nameof(Distributions))]
    public void Log_probabilities_are_the_models_own(SamplingOptions options)
    {
        using var scope = NewDisposeScope();
        using var noGrad = no_grad();
        using var model = Model();
        foreach (var samples in (int[])[1, 3])
        {
            var sampled = Sampler.Sample(model, Prompts, options with { MaxNewTokens = 12, EndOfTextIds = [0], SamplesPerPrompt = samples });
            var batch = new PreferenceBatch([.. sampled.GroupBy(generation => generation.PromptIndex).Select(ofPrompt =>
                new TokenizedExample(Prompts[ofPrompt.Key], [.. Tokens(ofPrompt)], []))]);
            var expected = CompletionLogProbs.Compute(model, batch.To(CPU)).PerToken.ToDoubles();
            Numbers.AssertClose(expected, [.. sampled.SelectMany(generation => generation.LogProbs).Select(logProb => (double)logProb)], 1e-5);
        }
    }

    [Fact]
    public void Samples_of_a_prompt_are_those_of_the_prompt_given_several_times()
    {
        using var model = Model();
        var options = new SamplingOptions { MaxNewTokens = 12, EndOfTextIds = [0], Seed = 3 };
        var repeated = Sampler.Sample(model, [.. Prompts.SelectMany(prompt => Enumerable.Repeat(prompt, 3))], options);
        var shared = Sampler.Sample(model, Prompts, options with { SamplesPerPrompt = 3 });
        Assert.Equal(Tokens(repeated), Tokens(shared));
        Assert.Equal(Enumerable.Range(0, 15).Select(index => (index / 3, index % 3)), shared.Select(generation => (generation.PromptIndex, generation.SampleIndex)));
        // The samples differ among themselves.
        Assert.True(Tokens(shared).Select(tokens => string.Join(' ', tokens)).Distinct().Count() > 10);
    }

    [Theory]
    [InlineData(1)]
    [InlineData(4)]
    public void What_is_computed_beside_a_sequence_does_not_change_it(int samples)
    {
        using var model = Model();
        // Many ends, so that places are given up again and again.
        var options = new SamplingOptions { MaxNewTokens = 30, EndOfTextIds = [0, 5], SamplesPerPrompt = samples, RepetitionPenalty = 1.1, Seed = 11 };
        var together = Sampler.Sample(model, Prompts, options);
        Assert.True(together.Select(generation => generation.Tokens.Count).Distinct().Count() > 3, "All end together.");
        foreach (var batchSize in (int[])[1, 3, 8])
        {
            var apart = Sampler.Sample(model, Prompts, options with { BatchSize = batchSize });
            Assert.Equal(Tokens(together), Tokens(apart));
            Assert.Equal(together.Select(generation => generation.StopReason), apart.Select(generation => generation.StopReason));
        }
        Assert.Equal(Tokens(together.Take(2 * samples)), Tokens(Sampler.Sample(model, Prompts[..2], options)));
    }

    [Fact]
    public void Completions_end_with_an_end_of_text_or_at_the_limit()
    {
        using var model = Model();
        var sampled = Sampler.Sample(model, [[1], [1, 2, 3]], new() { MaxNewTokens = 9, EndOfTextIds = [0, 4], SamplesPerPrompt = 60, Seed = 1 });
        foreach (var generation in sampled)
        {
            Assert.DoesNotContain(generation.Tokens.SkipLast(1), id => id is 0 or 4);
            Assert.Equal(generation.Tokens.Count, generation.LogProbs.Count);
            Assert.Equal(generation.Tokens[^1] is 0 or 4 ? StopReason.EndOfText : StopReason.Length, generation.StopReason);
            Assert.True(generation.StopReason == StopReason.EndOfText || generation.Tokens.Count == 9);
            Assert.Null(generation.Text);
        }
        Assert.Equal(3, sampled.Select(generation => generation.Tokens[^1] is 0 or 4 ? generation.Tokens[^1] : -1).Distinct().Count());
    }

    [Fact]
    public void The_seed_decides()
    {
        using var model = Model();
        var options = new SamplingOptions { MaxNewTokens = 8, Seed = 5 };
        var first = Tokens(Sampler.Sample(model, Prompts, options));
        Assert.Equal(first, Tokens(Sampler.Sample(model, Prompts, options)));
        Assert.NotEqual(first, Tokens(Sampler.Sample(model, Prompts, options with { Seed = 6 })));
    }

    [Fact]
    public void Tokens_are_told_of_step_by_step()
    {
        using var model = Model();
        var told = new List<GeneratedToken>();
        var sampled = Sampler.Sample(model, Prompts, new() { MaxNewTokens = 10, EndOfTextIds = [0, 5], SamplesPerPrompt = 2 }, onToken: told.Add);
        var expected =
            from step in Enumerable.Range(0, 10)
            from generation in sampled
            where step < generation.Tokens.Count
            select (generation.PromptIndex, generation.SampleIndex, generation.Tokens[step], generation.LogProbs[step], "");
        Assert.Equal(expected, told.Select(token => (token.PromptIndex, token.SampleIndex, token.Token, token.LogProb, token.Text)));
    }

    [Fact]
    public void BFloat16_casts_the_weights_once_and_releases_them()
    {
        using var scope = NewDisposeScope();
        using var noGrad = no_grad();
        using var model = Model(Precision.BFloat16);
        var options = new SamplingOptions { MaxNewTokens = 6, Temperature = 0 };
        var before = Tokens(Sampler.Sample(model, Prompts, options)).ToArray();
        // Weights that were still held would give the same text again.
        foreach (var parameter in model.parameters())
            parameter.neg_();
        var after = Tokens(Sampler.Sample(model, Prompts, options)).ToArray();
        Assert.NotEqual(before, after);
        foreach (var parameter in model.parameters())
            parameter.neg_();
        Assert.Equal(before, Tokens(Sampler.Sample(model, Prompts, options)));

        var sampled = Sampler.Sample(model, Prompts, options with { Temperature = 1 });
        var batch = new PreferenceBatch([.. sampled.Select(generation => new TokenizedExample(Prompts[generation.PromptIndex], [generation.Tokens], []))]);
        var expected = CompletionLogProbs.Compute(model, batch.To(CPU)).PerToken.ToDoubles();
        Numbers.AssertClose(expected, [.. sampled.SelectMany(generation => generation.LogProbs).Select(logProb => (double)logProb)], 0.1);
    }

    [Theory]
    [InlineData(Precision.Float32)]
    [InlineData(Precision.BFloat16)]
    public void Logits_that_are_no_distribution_are_refused(Precision precision)
    {
        using var noGrad = no_grad();
        using var model = Model(precision);
        model.parameters().First().fill_(float.NaN);
        Assert.Equal(
            "The model's logits are not finite numbers; its weights are damaged, or its training has diverged.",
            Assert.Throws<InvalidInputException>(() => Sampler.Sample(model, Prompts, new() { MaxNewTokens = 3 })).Message);
    }

    [Fact]
    public void No_prompts_give_no_completions()
    {
        using var model = Model();
        Assert.Empty(Sampler.Sample(model, []));
    }

    [Fact]
    public void Prompts_that_cannot_be_continued_are_refused()
    {
        using var model = Model();
        void AssertRefused(string message, int[][] prompts, SamplingOptions options) =>
            Assert.Equal(message, Assert.Throws<InvalidInputException>(() => Sampler.Sample(model, prompts, options)).Message);

        AssertRefused(
            "Prompt 1 has no token to continue from; begin it with one, such as the end-of-text token.", [[1], []], new() { MaxNewTokens = 3 });
        AssertRefused(
            "Prompt 0 holds the token 11, but the model's vocabulary has 11 entries; use the model's tokenizer.", [[1, 11]], new() { MaxNewTokens = 3 });
        AssertRefused(
            "Prompt 0 holds the token -1, but the model's vocabulary has 11 entries; use the model's tokenizer.", [[-1]], new() { MaxNewTokens = 3 });
        AssertRefused(
            "Prompt 0 has 4 tokens, which with 37 new ones exceed the model's 40 positions; shorten either.", [[1, 2, 3, 4]], new() { MaxNewTokens = 37 });
        AssertRefused(
            "Prompt 0 has 1 tokens, which with 2147483647 new ones exceed the model's 40 positions; shorten either.", [[1]], new() { MaxNewTokens = int.MaxValue });
        AssertRefused(
            "Stop strings are found in text, but no tokenizer was given; give the model's.", [[1]], new() { MaxNewTokens = 3, StopStrings = ["\n"] });
        Assert.Equal(36, Sampler.Sample(model, [[1, 2, 3, 4]], new() { MaxNewTokens = 36 })[0].Tokens.Count);
    }

    public static TheoryData<SamplingOptions, string> OutOfRange => new()
    {
        { new() { MaxNewTokens = 0 }, "MaxNewTokens" },
        { new() { Temperature = -0.1 }, "Temperature" },
        { new() { Temperature = double.NaN }, "Temperature" },
        { new() { Temperature = double.PositiveInfinity }, "Temperature" },
        { new() { TopK = 0 }, "TopK" },
        { new() { TopP = 0 }, "TopP" },
        { new() { TopP = 1.01 }, "TopP" },
        { new() { TopP = double.NaN }, "TopP" },
        { new() { RepetitionPenalty = 0 }, "RepetitionPenalty" },
        { new() { RepetitionPenalty = double.NaN }, "RepetitionPenalty" },
        { new() { SamplesPerPrompt = 0 }, "SamplesPerPrompt" },
        { new() { BatchSize = 0 }, "BatchSize" },
        { new() { StopStrings = [""] }, "StopStrings" },
    };

    [Theory]
    [MemberData(nameof(OutOfRange))]
    public void Options_outside_their_range_are_refused(SamplingOptions options, string name)
    {
        using var model = Model();
        Assert.Equal(name, Assert.ThrowsAny<ArgumentException>(() => Sampler.Sample(model, [[1]], options)).ParamName);
    }
}
