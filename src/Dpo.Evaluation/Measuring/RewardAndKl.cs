using Dpo.Baselines;
using Dpo.Batching;
using Dpo.Evaluation.Statistics;
using Dpo.Generation;
using Dpo.LogProbs;
using Dpo.Models;
using Dpo.Tokenization;
using Dpo.Training;
using static TorchSharp.torch;

namespace Dpo.Evaluation.Measuring;

/// <summary>A completion that was sampled from a policy, and what was measured of it.</summary>
public sealed record MeasuredSample
{
    /// <summary>The completion.</summary>
    public required SampledCompletion Completion { get; init; }

    /// <summary>What the reward says of it.</summary>
    public required double Reward { get; init; }

    /// <summary>log π of each of its tokens, in nats.</summary>
    public required IReadOnlyList<double> LogProbs { get; init; }

    /// <summary>log π_ref of each.</summary>
    public required IReadOnlyList<double> ReferenceLogProbs { get; init; }

    /// <summary>KL(π‖π_ref) of the distributions that each was drawn from and would have been, over the whole
    /// vocabulary.</summary>
    public required IReadOnlyList<double> Kl { get; init; }
}

/// <summary>
/// What a policy reaches, and how far it went for it: the expected reward and the KL from its reference, of completions that it
/// samples; one point of the paper's Figure 2 (left).
/// </summary>
/// <remarks>
/// <para>The KL is that of whole completions, KL(π(y|x)‖π_ref(y|x)), which is the expected sum over time of the KL at each
/// position (section 6.1 of the paper). Four estimates of it are made of the same samples: the exact KL at each position, which
/// the output head gives without a matrix of logits, and k1, k2 and k3 of the sampled tokens (<see cref="Statistics.Kl"/>). All
/// but k2 are unbiased; the exact one varies least, since where it goes only the text is left to chance.</para>
/// <para>Standard errors are over prompts, since samples of one prompt are not independent: each prompt counts by the mean of
/// its samples. Of a single prompt they are over its samples.</para>
/// </remarks>
public sealed record RewardAndKl
{
    /// <summary>The expected reward.</summary>
    public required Estimate Reward { get; init; }

    /// <summary>By the exact KL at every position: <see cref="KlEstimate.PerSequence"/> is the one to plot.</summary>
    public required KlEstimate Kl { get; init; }

    /// <summary>By k1.</summary>
    public required KlEstimate K1 { get; init; }

    /// <summary>By k2, which is biased.</summary>
    public required KlEstimate K2 { get; init; }

    /// <summary>By k3.</summary>
    public required KlEstimate K3 { get; init; }

    /// <summary>All samples of the first prompt, then of the next.</summary>
    public required IReadOnlyList<MeasuredSample> Samples { get; init; }

    /// <summary>Samples completions from the policy and measures them.</summary>
    /// <param name="pair">Policy and reference; the policy is as it was afterwards.</param>
    /// <param name="prompts">The prompts' ids; with one sample a prompt two or more.</param>
    /// <param name="reward">What scores completions.</param>
    /// <param name="sampling">How many samples of each prompt, of what length, and by what seed; it draws from the policy as it
    /// is, at temperature 1. The defaults where null.</param>
    /// <param name="tokenizer">As <see
    /// cref="Sampler.Sample(CausalLanguageModel, IReadOnlyList{IReadOnlyList{int}}, SamplingOptions?, TextTokenizer?,
    /// Action{GeneratedToken}?, CancellationToken)"/> takes it, and for rewards that read text.</param>
    /// <param name="maxTokens">The most tokens measured at once, 1 or more; it bounds memory, and no result depends on it but by
    /// rounding.</param>
    /// <param name="level">Of the intervals; above 0 and below 1.</param>
    /// <param name="cancellationToken">Ends it between two tokens or two parts.</param>
    /// <exception cref="ArgumentException">The options draw from another distribution than the policy's, or there are not two
    /// samples.</exception>
    /// <exception cref="InvalidInputException">Policy and reference have vocabularies of different sizes, or a prompt does not
    /// fit.</exception>
    /// <exception cref="InvalidOperationException">The reference was released, or the reward gave no finite score.</exception>
    public static RewardAndKl Measure(
        PolicyReferencePair pair, IReadOnlyList<IReadOnlyList<int>> prompts, IReward reward, SamplingOptions? sampling = null,
        TextTokenizer? tokenizer = null, int maxTokens = 4096, double level = 0.95, CancellationToken cancellationToken = default)
    {
        ArgumentNullException.ThrowIfNull(pair);
        ArgumentNullException.ThrowIfNull(prompts);
        ArgumentNullException.ThrowIfNull(reward);
        ArgumentOutOfRangeException.ThrowIfLessThan(maxTokens, 1);
        sampling ??= new SamplingOptions();
        if (sampling is not { Temperature: 1, TopK: null, TopP: 1, RepetitionPenalty: 1 })
            throw new ArgumentException(
                "The KL is that of the policy's own distribution, and the options draw from another; leave temperature, top-k, " +
                "top-p and the repetition penalty at their defaults.",
                nameof(sampling));
        if ((long)prompts.Count * sampling.SamplesPerPrompt < 2)
            throw new ArgumentException("A standard error takes two samples or more; give more prompts.", nameof(prompts));
        var completions = Sampler.Sample(pair.Policy, prompts, sampling, tokenizer, onToken: null, cancellationToken);
        var scores = Scores.Of(reward, prompts, completions, tokenizer);
        MeasuredSample[] samples =
        [
            .. KlOf(pair, prompts, completions, maxTokens, cancellationToken).Zip(completions, scores).Select(sample =>
                new MeasuredSample
                {
                    Completion = sample.Second,
                    Reward = sample.Third,
                    LogProbs = sample.First.Policy,
                    ReferenceLogProbs = sample.First.Reference,
                    Kl = sample.First.Kl,
                }),
        ];
        return new RewardAndKl
        {
            Reward = ByPrompt(samples, sample => sample.Reward, level),
            Kl = Estimated(samples, sample => sample.Kl, level),
            K1 = Estimated(samples, sample => Each(sample, Statistics.Kl.K1), level),
            K2 = Estimated(samples, sample => Each(sample, Statistics.Kl.K2), level),
            K3 = Estimated(samples, sample => Each(sample, Statistics.Kl.K3), level),
            Samples = samples,
        };
    }

    private static IReadOnlyList<double> Each(MeasuredSample sample, Func<double, double, double> estimator) =>
        [.. sample.LogProbs.Zip(sample.ReferenceLogProbs, estimator)];

    private static KlEstimate Estimated(
        MeasuredSample[] samples, Func<MeasuredSample, IReadOnlyList<double>> values, double level) => new()
        {
            PerSequence = ByPrompt(samples, sample => values(sample).Sum(), level),
            PerToken = Estimate.OfMean([.. samples.SelectMany(values)], level),
        };

    private static Estimate ByPrompt(MeasuredSample[] samples, Func<MeasuredSample, double> value, double level)
    {
        double[] means = [.. samples.GroupBy(sample => sample.Completion.PromptIndex).Select(prompt => prompt.Average(value))];
        return Estimate.OfMean(means.Length > 1 ? means : [.. samples.Select(value)], level);
    }

    /// <summary>For each completion the log-probabilities of its tokens under both models and the KL at their
    /// positions.</summary>
    private static IEnumerable<(double[] Policy, double[] Reference, double[] Kl)> KlOf(
        PolicyReferencePair pair, IReadOnlyList<IReadOnlyList<int>> prompts, IReadOnlyList<SampledCompletion> completions,
        int maxTokens, CancellationToken cancellationToken)
    {
        var examples = completions.GroupBy(completion => completion.PromptIndex).Select(prompt =>
            new TokenizedExample(prompts[prompt.Key], [.. prompt.Select(completion => completion.Tokens)], []));
        return PreferenceBatch.Pack(examples, example => (example.TokenCount, 0), maxTokens, int.MaxValue)
            .SelectMany(part => new PreferenceBatch(part).Slices(maxTokens))
            .SelectMany(part =>
            {
                cancellationToken.ThrowIfCancellationRequested();
                return KlOf(pair, part);
            });
    }

    private static List<(double[] Policy, double[] Reference, double[] Kl)> KlOf(PolicyReferencePair pair, PreferenceBatch part)
    {
        using var scope = NewDisposeScope();
        using var noGrad = no_grad();
        using var mode = new EvaluationMode(pair.Policy);
        var batch = part.To(pair.Policy.Device);
        // Exchanged for what the library calls them: the KL that a model has from a reference is that of the reference's
        // distribution to the model's, and the policy's to the reference's is wanted.
        var policy = CompletionLogProbs.Compute(pair.Policy, batch, new LogProbsRequest { Distributions = true });
        var reference = pair.WithReference(
            model => CompletionLogProbs.Compute(model, batch, new LogProbsRequest { ReferenceKl = true }, policy));
        var (own, other, kl) = (Doubles(policy.PerToken), Doubles(reference.PerToken), Doubles(reference.ReferenceKl!));
        var measured = new List<(double[], double[], double[])>(part.CompletionCount);
        foreach (var (begin, end) in policy.Offsets.Zip(policy.Offsets.Skip(1)))
            measured.Add((own[begin..end], other[begin..end], kl[begin..end]));
        return measured;

        static double[] Doubles(Tensor values) => values.to(float64).cpu().data<double>().ToArray();
    }
}
