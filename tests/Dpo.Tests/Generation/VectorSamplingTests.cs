using static TorchSharp.torch;

namespace Dpo.Tests;

/// <summary>Sampling through the attention that reads its cache where it lies, which heads of whole vectors take, above the work that
/// one thread does alone.</summary>
public class VectorSamplingTests
{
    private const int Heads = 8, KeyHeads = 4, HeadSize = 32, NewTokens = 24;

    private static readonly int[][] Prompts =
        [.. Enumerable.Range(0, 40).Select(prompt => (int[])[.. Enumerable.Range(0, 3 + (prompt * 7 % 40)).Select(token => (prompt * 31 + token * 17) % 97)])];

    private static readonly SamplingOptions options = new() { MaxNewTokens = NewTokens, SamplesPerPrompt = 4, BatchSize = 160, Seed = 6 };

    private static TransformerModel Model(bool isLlama, Precision precision)
    {
        using var noGrad = no_grad();
        TransformerModel model = isLlama
            ? new Llama(new LlamaConfig { VocabularySize = 97, MaxPositions = 80, HiddenSize = Heads * HeadSize, InnerSize = 128, LayerCount = 2, HeadCount = Heads, KeyValueHeadCount = KeyHeads }, seed: 1)
            : new Gpt2(new Gpt2Config { VocabularySize = 97, MaxPositions = 80, HiddenSize = Heads * HeadSize, LayerCount = 2, HeadCount = Heads }, seed: 1);
        model.Precision = precision;
        // Far from flat, in the attention too.
        foreach (var parameter in model.parameters().Where(parameter => parameter.dim() > 1))
            parameter.mul_(4);
        return model;
    }

    private static double[] Recomputed(TransformerModel model, IReadOnlyList<SampledCompletion> sampled)
    {
        using var scope = NewDisposeScope();
        using var noGrad = no_grad();
        var batch = new PreferenceBatch([.. sampled.GroupBy(sample => sample.PromptIndex).Select(ofPrompt =>
            new TokenizedExample(Prompts[ofPrompt.Key], [.. ofPrompt.Select(sample => sample.Tokens)], []))]);
        return CompletionLogProbs.Compute(model, batch.To(CPU)).PerToken.ToDoubles();
    }

    private static double[] LogProbs(IEnumerable<SampledCompletion> sampled) => [.. sampled.SelectMany(sample => sample.LogProbs).Select(logProb => (double)logProb)];

    [Theory]
    [InlineData(true, 4)]
    [InlineData(true, 1)]
    [InlineData(false, 4)]
    [InlineData(false, 1)]
    public void In_fp32_it_gives_what_the_whole_sequences_computed_anew_do(bool isLlama, int samples)
    {
        Assert.Equal(0, HeadSize % HeadProducts<float>.PairLength);
        Assert.True(Prompts.Length * samples * Heads * HeadSize * (Prompts.Max(prompt => prompt.Length) + NewTokens - 1) > VectorAttention<float>.WorkOfOneThread);
        using var model = Model(isLlama, Precision.Float32);
        var sampled = Sampler.Sample(model, Prompts, options with { SamplesPerPrompt = samples });
        Assert.Equal(Prompts.Length * samples * NewTokens, sampled.Sum(sample => sample.Tokens.Count));
        Numbers.AssertClose(Recomputed(model, sampled), LogProbs(sampled), 1e-5);
        // Alone a sequence's work is one thread's.
        var alone = Sampler.Sample(model, Prompts[..3], options with { SamplesPerPrompt = samples, BatchSize = 1 });
        Assert.Equal(sampled.Take(3 * samples).Select(sample => sample.Tokens), alone.Select(sample => sample.Tokens));
        Numbers.AssertClose(LogProbs(sampled.Take(3 * samples)), LogProbs(alone), 1e-5);
    }

    /// <summary>What the two computations in bf16 differ by is a fifth of what each differs from fp32 by, which is rounding.</summary>
    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public void In_bf16_it_gives_what_fp32_does_but_for_rounding(bool isLlama)
    {
        using var model = Model(isLlama, Precision.BFloat16);
        var sampled = Sampler.Sample(model, Prompts, options);
        var rounded = Recomputed(model, sampled);
        model.Precision = Precision.Float32;
        var exact = Recomputed(model, sampled);
        double[] Differences(double[] other) => [.. LogProbs(sampled).Zip(other, (one, another) => Math.Abs(one - another))];
        Assert.InRange(Differences(rounded).Average(), 0, 0.005);
        Assert.InRange(Differences(rounded).Max(), 0, 0.05);
        Assert.InRange(Differences(exact).Average(), 0, 0.03);
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void Above_one_threads_work_it_gives_what_LibTorchs_attention_does(bool bf16)
    {
        using var scope = NewDisposeScope();
        using var noGrad = no_grad();
        const int sequences = 64, columns = 48;
        Assert.True(sequences * Heads * HeadSize * columns > VectorAttention<float>.WorkOfOneThread);
        var dtype = bf16 ? bfloat16 : float32;
        Tensor Random(int heads) => randn([sequences, heads, columns, HeadSize], device: CPU).to(dtype);
        var (query, keys, values) = (Random(Heads), Random(KeyHeads), Random(KeyHeads));
        using var cache = new CachedAttention(layers: 1, sequences, promptWidth: columns - 1, newTokens: 1, isShared: false, CPU);
        int[] rows = [.. Enumerable.Range(0, sequences)];
        int[] prompts = [.. rows.Select(_ => cache.Prompts.Add(columns - 1))];
        Tensor Prompts(Tensor x) => x.narrow(2, 0, columns - 1).transpose(1, 2).flatten(0, 1);
        cache.Prompts.Store(0, cache.Prompts.Index(prompts, KeyHeads, CPU), Prompts(keys), Prompts(values));
        cache.Begin(rows, prompts);
        cache.Advance(sequences);
        Tensor Last(Tensor x) => x.select(2, columns - 1).contiguous();
        Assert.True(bf16 ? VectorAttention<ushort>.Takes(Last(keys)) : VectorAttention<float>.Takes(Last(keys)));
        var actual = cache.Attend(0, Last(query), Last(keys), Last(values)).to(float32).flatten().ToDoubles();

        Tensor Whole(Tensor x) => x.to(float32).repeat_interleave(Heads / KeyHeads, 1);
        var expected = nn.functional.scaled_dot_product_attention(Last(query).unsqueeze(2).to(float32), Whole(keys), Whole(values)).flatten().ToDoubles();
        Assert.All(expected.Zip(actual), pair => Assert.InRange(Math.Abs(pair.Second - pair.First), 0, bf16 ? (Math.Abs(pair.First) / 256) + 1e-5 : 2e-5));
    }
}
