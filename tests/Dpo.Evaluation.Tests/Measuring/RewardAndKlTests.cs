using Dpo.Baselines;
using Dpo.Evaluation.Measuring;
using Dpo.Evaluation.Statistics;
using Dpo.Tests;
using static TorchSharp.torch;

namespace Dpo.Evaluation.Tests.Measuring;

/// <summary>Reward and KL of a model so small that all it can say is enumerated.</summary>
public class RewardAndKlTests
{
    private const int Vocabulary = 4, EndOfText = 0, Longest = 3;

    private static readonly SamplingOptions sampling = new() { MaxNewTokens = Longest, EndOfTextIds = [EndOfText], BatchSize = 512, Seed = 5 };

    private static readonly FunctionReward reward = new(answer => answer.Ids.Sum() + answer.PromptIds[0]);

    [Theory]
    [InlineData("one model")]
    [InlineData("two models")]
    [InlineData("an adapter")]
    public void Log_probabilities_and_KL_of_every_token_are_those_of_the_logits(string of)
    {
        using var pair = of == "an adapter" ? AdapterPair() : Pair(of == "one model");
        int[][] prompts = [[1, 2], [3], [2, 2, 1]];
        // A budget of a few tokens, so that prompts are measured apart and their samples in slices.
        var measured = RewardAndKl.Measure(pair, prompts, reward, sampling with { SamplesPerPrompt = 4 }, maxTokens: 7);
        Assert.Equal(12, measured.Samples.Count);
        foreach (var sample in measured.Samples)
        {
            var (prompt, ids) = (prompts[sample.Completion.PromptIndex], sample.Completion.Tokens);
            Assert.Equal(ids.Sum() + prompt[0], sample.Reward);
            Assert.Equal(ids.Count, sample.Kl.Count);
            for (var place = 0; place < ids.Count; place++)
            {
                int[] before = [.. ids.Take(place)];
                double[] own = Next(pair.Policy, prompt, before), other = pair.WithReference(model => Next(model, prompt, before));
                Numbers.AssertClose(own[ids[place]], sample.LogProbs[place], 1e-5);
                Numbers.AssertClose(other[ids[place]], sample.ReferenceLogProbs[place], 1e-5);
                Numbers.AssertClose(own.Zip(other, (p, q) => Math.Exp(p) * (p - q)).Sum(), sample.Kl[place], 1e-5);
            }
        }
        Assert.True(measured.Samples.Max(sample => sample.Kl.Max()) > 0.1, "the models are too much alike for a test");
    }

    [Fact]
    public void Expectations_are_those_over_all_completions()
    {
        using var pair = Pair(ofOneModel: true);
        int[] prompt = [1, 2];
        var (kl, expected) = (0.0, 0.0);
        foreach (var (ids, own, other) in Completions(pair, prompt, []))
        {
            kl += Math.Exp(own) * (own - other);
            expected += Math.Exp(own) * (ids.Sum() + prompt[0]);
        }
        var measured = RewardAndKl.Measure(pair, [prompt], reward, sampling with { SamplesPerPrompt = 4000 }, maxTokens: 100_000);
        foreach (var (estimate, truth) in (IEnumerable<(Estimate, double)>)
            [(measured.Reward, expected), (measured.Kl.PerSequence, kl), (measured.K1.PerSequence, kl), (measured.K3.PerSequence, kl)])
        {
            Assert.Equal(4000, estimate.Count);
            Assert.InRange(Math.Abs(estimate.Value - truth), 0, 3 * estimate.StandardError);
        }
        // The exact KL of a position varies by the text in front of it alone.
        Assert.True(measured.Kl.PerSequence.StandardError < 0.8 * measured.K3.PerSequence.StandardError);
        Assert.True(measured.Kl.PerSequence.StandardError < 0.25 * measured.K1.PerSequence.StandardError);
    }

    [Fact]
    public void Errors_are_over_prompts_where_there_are_several()
    {
        using var pair = Pair(ofOneModel: false);
        var measured = RewardAndKl.Measure(pair, [[1], [2], [3]], reward, sampling with { SamplesPerPrompt = 50 });
        var means = measured.Samples.Chunk(50).Select(samples => samples.Average(sample => sample.Reward)).ToArray();
        Assert.Equal(Estimate.OfMean(means), measured.Reward);
        var sums = measured.Samples.Chunk(50).Select(samples => samples.Average(sample =>
            sample.LogProbs.Zip(sample.ReferenceLogProbs, (p, q) => Math.Exp(q - p) - 1 - (q - p)).Sum())).ToArray();
        Assert.Equal(3, measured.K3.PerSequence.Count);
        Numbers.AssertClose(sums.Average(), measured.K3.PerSequence.Value, 1e-12);
        Assert.Equal(measured.Samples.Sum(sample => sample.Kl.Count), measured.Kl.PerToken.Count);
        Numbers.AssertClose(
            measured.Samples.Average(sample => sample.LogProbs.Zip(sample.ReferenceLogProbs, (p, q) => 0.5 * (p - q) * (p - q)).Sum()), measured.K2.PerSequence.Value, 1e-9);
    }

    [Fact]
    public void A_policy_that_is_its_reference_has_no_KL_and_is_left_as_it_was()
    {
        using var policy = Model(1);
        using var pair = new PolicyReferencePair(policy);
        var before = policy.parameters().Select(parameter => parameter.detach().clone()).ToArray();
        using var scope = NewDisposeScope();
        var tensors = Tensor.TotalCount;
        var measured = RewardAndKl.Measure(pair, [[1], [2]], reward, sampling);
        Assert.Equal(tensors, Tensor.TotalCount);
        Assert.Equal((0.0, 0.0), (measured.K1.PerSequence.Value, measured.K3.PerSequence.Value));
        Assert.InRange(measured.Kl.PerSequence.Value, -1e-6, 1e-6);
        Assert.All(policy.parameters().Zip(before), weights => Assert.True(weights.First.equal(weights.Second).all().item<bool>()));
    }

    [Fact]
    public void Other_distributions_than_the_policy_s_and_single_samples_are_refused()
    {
        using var pair = Pair(ofOneModel: true);
        foreach (var other in (SamplingOptions[])
            [sampling with { Temperature = 0.7 }, sampling with { TopK = 2 }, sampling with { TopP = 0.9 }, sampling with { RepetitionPenalty = 1.1 }])
            Assert.StartsWith("The KL is that of the policy's own", Refusal(other, [1], [2]), StringComparison.Ordinal);
        Assert.StartsWith("A standard error takes two samples", Refusal(sampling, [1]), StringComparison.Ordinal);
        pair.ReleaseReference();
        Assert.Throws<InvalidOperationException>(() => RewardAndKl.Measure(pair, [[1], [2]], reward, sampling));

        string Refusal(SamplingOptions options, params int[][] prompts) =>
            Assert.Throws<ArgumentException>(() => RewardAndKl.Measure(pair, prompts, reward, options)).Message;
    }

    private static PolicyReferencePair Pair(bool ofOneModel)
    {
        var policy = Model(1);
        if (!ofOneModel)
            return new PolicyReferencePair(policy, Model(2));
        var pair = new PolicyReferencePair(policy);
        Disturb(policy, 3);
        return pair;
    }

    /// <summary>An adapter over the output head too, whose weights are exchanged for the reference's between the two
    /// distributions.</summary>
    private static PolicyReferencePair AdapterPair()
    {
        var policy = Model(1);
        policy.AddLora(new LoraOptions { Rank = 2, Alpha = 40, TargetModules = ["c_attn", "lm_head"] });
        var pair = new PolicyReferencePair(policy);
        Disturb(policy, 3);
        return pair;
    }

    private static Gpt2 Model(int seed)
    {
        var model = new Gpt2(new() { VocabularySize = Vocabulary, MaxPositions = 8, HiddenSize = 8, LayerCount = 1, HeadCount = 2 }, seed);
        Disturb(model, seed);
        return model;
    }

    /// <summary>Weights of a size at which distributions differ.</summary>
    private static void Disturb(Gpt2 model, int seed)
    {
        using var noGrad = no_grad();
        using var scope = NewDisposeScope();
        var generator = new Generator((ulong)seed);
        foreach (var parameter in model.parameters().Where(parameter => parameter.requires_grad))
            parameter.add_(randn(parameter.shape, generator: generator) * 0.3);
    }

    /// <summary>The log-probability of every token behind a prompt and what was said already.</summary>
    private static double[] Next(CausalLanguageModel model, int[] prompt, int[] before)
    {
        using var data = new PreferenceData([new TokenizedExample(prompt, [.. Enumerable.Range(0, Vocabulary).Select(token => (int[])[.. before, token])], [])]);
        return [.. Evaluator.LogProbs(model, data).Single().Select(tokens => (double)tokens[^1])];
    }

    /// <summary>Everything that can be said, with its log-probabilities.</summary>
    private static IEnumerable<(int[] Ids, double Own, double Other)> Completions(PolicyReferencePair pair, int[] prompt, int[] before)
    {
        if (before is [.., EndOfText] || before.Length == Longest)
            return [(before, 0, 0)];
        double[] own = Next(pair.Policy, prompt, before), other = pair.WithReference(model => Next(model, prompt, before));
        return Enumerable.Range(0, Vocabulary).SelectMany(token => Completions(pair, prompt, [.. before, token])
            .Select(rest => (rest.Ids, own[token] + rest.Own, other[token] + rest.Other)));
    }
}
