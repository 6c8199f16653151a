using static TorchSharp.torch;

namespace Dpo.Tests;

/// <summary>Sampling where a tokenizer says which ids there are and which of them end a text.</summary>
public class SamplerTokenizerTests
{
    private static readonly TextTokenizer Tokenizer = TextTokenizer.Load(Fixture.Path("tokenizer"));

    /// <summary>The parity model, whose greedy answer begins 19, 324, 286.</summary>
    private static TemporaryFolder Llama(string generationConfig)
    {
        var folder = new TemporaryFolder();
        foreach (var name in (string[])["config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json"])
            File.Copy(Fixture.Path("models", "llama", name), folder.File(name));
        folder.Write("generation_config.json", generationConfig);
        return folder;
    }

    [Theory]
    [InlineData("""{"eos_token_id": [0, 286]}""", 3)]
    [InlineData("""{"eos_token_id": [286, 324]}""", 2)]
    [InlineData("""{"eos_token_id": 19}""", 1)]
    [InlineData("""{"eos_token_id": 0}""", 8)]
    public void Completions_end_at_every_id_that_the_models_files_name(string generationConfig, int count)
    {
        using var folder = Llama(generationConfig);
        using var model = CausalLanguageModel.Load(folder.Path);
        var tokenizer = TextTokenizer.Load(folder.Path);
        var sampled = Assert.Single(Sampler.Sample(model, [[200, 383, 140, 128, 174]], new() { MaxNewTokens = 8, Temperature = 0 }, tokenizer));
        Assert.Equal(((int[])[19, 324, 286, 178, 376, 293, 19, 44])[..count], sampled.Tokens);
        Assert.Equal(count < 8 ? StopReason.EndOfText : StopReason.Length, sampled.StopReason);

        // Policy and reference that are compared end there too; what was asked for by name comes before.
        using var pair = new PolicyReferencePair(model);
        var compared = Assert.Single(new SampleComparison(pair, tokenizer, [[200, 383, 140, 128, 174]], new() { MaxNewTokens = 8, Temperature = 0 }).Draw());
        Assert.Equal((sampled.Text, sampled.Text), (compared.Policy, compared.Reference));
        var named = Sampler.Sample(model, [[200, 383, 140, 128, 174]], new() { MaxNewTokens = 8, Temperature = 0, EndOfTextIds = [178] }, tokenizer);
        Assert.Equal([19, 324, 286, 178], named[0].Tokens);
    }

    /// <summary>A vocabulary padded with rows beyond the tokenizer's 384, to which the model gives most of the probability.</summary>
    private static Gpt2 Padded()
    {
        using var noGrad = no_grad();
        var model = new Gpt2(new Gpt2Config { VocabularySize = 448, MaxPositions = 64, HiddenSize = 8, LayerCount = 1, HeadCount = 2 }, seed: 2);
        foreach (var parameter in model.parameters().Where(parameter => parameter.dim() > 1))
            parameter.mul_(25);
        model.Head.Weight!.narrow(0, 384, 64).mul_(3);
        return model;
    }

    public static TheoryData<SamplingOptions> Options =>
    [
        new(), new() { Temperature = 0 }, new() { Temperature = 1.5 }, new() { TopK = 5 }, new() { TopP = 0.9 }, new() { RepetitionPenalty = 1.3 },
    ];

    [Theory]
    [MemberData(nameof(Options))]
    public void An_id_without_text_is_never_drawn_where_the_tokenizer_is_known(SamplingOptions options)
    {
        using var scope = NewDisposeScope();
        using var noGrad = no_grad();
        using var model = Padded();
        options = options with { MaxNewTokens = 20, SamplesPerPrompt = 20, EndOfTextIds = [] };
        // A prompt may hold one.
        IReadOnlyList<int>[] prompts = [[5, 400], [7]];
        Assert.Contains(Sampler.Sample(model, prompts, options).SelectMany(sample => sample.Tokens), id => id >= 384);
        var sampled = Sampler.Sample(model, prompts, options, Tokenizer);
        Assert.All(sampled.SelectMany(sample => sample.Tokens), id => Assert.InRange(id, 0, 383));
        Assert.All(sampled, sample => Assert.Equal(Tokenizer.Decode(sample.Tokens, skipSpecial: true), sample.Text));

        // Log-probabilities are the model's over all 448, as training computes them.
        var batch = new PreferenceBatch([.. sampled.Select(sample => new TokenizedExample(prompts[sample.PromptIndex], [sample.Tokens], []))]);
        var expected = CompletionLogProbs.Compute(model, batch.To(CPU)).PerToken.ToDoubles();
        Numbers.AssertClose(expected, [.. sampled.SelectMany(sample => sample.LogProbs).Select(logProb => (double)logProb)], 1e-5);
    }

    [Fact]
    public void Gaps_among_the_ids_are_not_drawn_either()
    {
        var logits = Enumerable.Range(0, 600).Select(id => id is 30 or 599 ? 9f : id == 40 ? 8 : 0).ToArray();
        var drawable = new DrawableIds(598, [30]);
        foreach (var options in (SamplingOptions[])[
            new() { Temperature = 0 }, new() { TopK = 1 }, new() { TopP = 0.5 }, new() { Temperature = 0, RepetitionPenalty = 1.01 }, new() { Temperature = 0.2 }])
        {
            var (id, logProb) = TokenDraw.Draw(logits, 0.5f, [30, 599], options, drawable);
            Assert.Equal(40, id);
            Assert.Equal(8 - Math.Log(2 * Math.Exp(9) + Math.Exp(8) + 597), logProb, 1e-5);
        }
        Assert.Equal(40, TokenDraw.Draw(logits, 0.5f, [], new() { Temperature = 0 }, new DrawableIds(598, [30])).Id);
    }

    [Fact]
    public void A_tokenizer_with_gaps_says_which()
    {
        using var folder = new TemporaryFolder();
        folder.Write("tokenizer.json", File.ReadAllText(Fixture.Path("tokenizer", "tokenizer.json")).Replace(
            "\"added_tokens\": [", "\"added_tokens\": [{\"id\": 390, \"content\": \"<x>\", \"special\": false},", StringComparison.Ordinal));
        folder.Write("tokenizer_config.json", """{"eos_token": "<|endoftext|>"}""");
        var tokenizer = TextTokenizer.Load(folder.Path);
        var drawable = DrawableIds.Of(448, tokenizer)!;
        Assert.Equal((391, "384 385 386 387 388 389"), (drawable.Count, string.Join(' ', drawable.Gaps)));
        Assert.Equal((384, 0), (DrawableIds.Of(384, tokenizer)?.Count ?? 384, DrawableIds.Of(384, tokenizer)?.Gaps.Count ?? 0));
        Assert.Null(DrawableIds.Of(384, Tokenizer));
        Assert.Null(DrawableIds.Of(448, null));
        Assert.Equal("a<x>b", tokenizer.Decode([66, 385, 390, 447, 67, 100_000]));
    }

    [Fact]
    public void Sampling_stops_within_a_call()
    {
        using var model = Padded();
        using var stop = new CancellationTokenSource();
        var told = 0;
        Assert.Throws<OperationCanceledException>(() => Sampler.Sample(model, [[1], [2]], new() { MaxNewTokens = 30 }, onToken: _ =>
        {
            if (++told == 6)
                stop.Cancel();
        }, cancellationToken: stop.Token));
        Assert.Equal(6, told);
        Assert.Throws<OperationCanceledException>(() => Sampler.Sample(model, Tokenizer, ["a"], new() { MaxNewTokens = 9 }, cancellationToken: stop.Token));
        using var pair = new PolicyReferencePair(model);
        var comparison = new SampleComparison(pair, Tokenizer, [[1]], new() { MaxNewTokens = 9 });
        Assert.Throws<OperationCanceledException>(() => comparison.Draw(stop.Token));
    }

    /// <summary>Where completions have one token no step follows, but a prompt is read for each.</summary>
    [Fact]
    public void Sampling_stops_before_it_reads_on_in_the_prompts()
    {
        using var model = Padded();
        using var stop = new CancellationTokenSource();
        var told = 0;
        Assert.Throws<OperationCanceledException>(() => Sampler.Sample(model, [[1], [2], [3]], new() { MaxNewTokens = 1, BatchSize = 1 }, onToken: _ =>
        {
            told++;
            stop.Cancel();
        }, cancellationToken: stop.Token));
        Assert.Equal(1, told);
    }

    /// <summary>A reference whose weights are no numbers says so as soon as it is sampled from.</summary>
    [Fact]
    public void A_comparison_stops_in_the_reference_and_in_the_policy()
    {
        using var stop = new CancellationTokenSource();
        stop.Cancel();
        var reference = Padded();
        using (no_grad())
            reference.parameters().First().fill_(float.NaN);
        using var pair = new PolicyReferencePair(Padded(), reference);
        var options = new SamplingOptions { MaxNewTokens = 1 };
        Assert.Throws<InvalidInputException>(() => new SampleComparison(pair, Tokenizer, [[1]], options).Draw());
        Assert.Throws<OperationCanceledException>(() => new SampleComparison(pair, Tokenizer, [[1]], options).Draw(stop.Token));
        Assert.Throws<OperationCanceledException>(() => new SampleComparison(pair.Policy, Tokenizer, [[1]], options).Draw(stop.Token));
    }
}
