using Dpo.Batching;
using Dpo.Generation;
using Dpo.Models;
using Dpo.Tokenization;
using Dpo.Training;
using static TorchSharp.torch;

namespace Dpo.Baselines;

/// <summary>One round's completions: sampled, scored, and measured under policy, reference and values.</summary>
internal sealed class RolloutSampling(
    ActorCritic models, PolicyReferencePair pair, IReward reward, TextTokenizer? tokenizer, PpoOptions options)
{
    private readonly TransformerModel policy = (TransformerModel)pair.Policy;

    /// <summary>Samples and measures.</summary>
    /// <param name="prompts">The round's prompts.</param>
    /// <param name="seed">What its draws follow from.</param>
    /// <param name="cancellationToken">Ends the sampling between two tokens.</param>
    public Rollout[] Of(IReadOnlyList<IReadOnlyList<int>> prompts, int seed, CancellationToken cancellationToken)
    {
        var sampling = options.Sampling with { Seed = seed };
        var samples = Sampler.Sample(policy, prompts, sampling, tokenizer, onToken: null, cancellationToken);
        var scores = Scores.Of(reward, prompts, samples, tokenizer);
        return Measure(
            [.. samples.Select(sample => new TrainingExample(prompts[sample.PromptIndex], [sample.Tokens], []))],
            [.. scores.Zip(samples, (score, sample) => Worth(score, sample.StopReason != StopReason.Length))],
            [.. samples.Select(sample => sample.StopReason != StopReason.Length)]);
    }

    /// <summary>A score within its range, less the penalty of a completion that did not end by itself.</summary>
    public double Worth(double score, bool ended) =>
        Math.Clamp(score, -options.ScoreRange, options.ScoreRange) - (ended ? 0 : options.MissingEndPenalty);

    /// <summary>Measures completions as they are before the round's updates.</summary>
    /// <param name="examples">Prompts, each with one completion.</param>
    /// <param name="scores">What they are worth.</param>
    /// <param name="ended">Whether each ended by itself.</param>
    public Rollout[] Measure(
        IReadOnlyList<TrainingExample> examples, IReadOnlyList<double> scores, IReadOnlyList<bool> ended)
    {
        using var noGrad = no_grad();
        // As they were sampled: without an adapter's dropout.
        using var mode = new EvaluationMode(models);
        var rollouts = new List<Rollout>();
        foreach (var part in PreferenceBatch.Pack(
            examples, example => (example.TokenCount, 0), options.MicroBatchTokens, int.MaxValue))
        {
            using var scope = NewDisposeScope();
            var batch = new PreferenceBatch(part).To(models.Device);
            var reference = pair.WithReference(model =>
                ActorCritic.LogProbs(model, model.call(batch.Ids, batch.Layout), batch, options.Sampling.Temperature));
            var (logProbs, values) = models.Measure(batch);
            var (own, other, worth) = (Read(logProbs.PerToken), Read(reference.PerToken), Read(values));
            foreach (var (index, example) in part.Index())
            {
                var range = batch.Layout.CompletionOffsets[index]..batch.Layout.CompletionOffsets[index + 1];
                rollouts.Add(new Rollout
                {
                    Example = example,
                    Score = scores[rollouts.Count],
                    Ended = ended[rollouts.Count],
                    LogProbs = own[range],
                    ReferenceLogProbs = other[range],
                    Values = worth[range],
                });
            }
        }
        return [.. rollouts];

        static float[] Read(Tensor values) => values.cpu().data<float>().ToArray();
    }

    /// <summary>Computes rewards, advantages and returns.</summary>
    /// <param name="rollouts">The round's completions.</param>
    /// <param name="coefficient">The weight of the KL.</param>
    public void Estimate(IReadOnlyList<Rollout> rollouts, double coefficient)
    {
        foreach (var rollout in rollouts)
        {
            rollout.Kl = Advantages.Kl(
                Doubles(rollout.LogProbs), Doubles(rollout.ReferenceLogProbs), options.KlEstimator);
            rollout.Rewards = Advantages.Rewards(rollout.Kl, coefficient, rollout.Score);
        }
        if (options.WhitenRewards)
        {
            foreach (var (rollout, rewards) in rollouts.Zip(
                Advantages.Whiten([.. rollouts.Select(rollout => rollout.Rewards)], keepMean: true)))
                rollout.Rewards = rewards;
        }
        foreach (var rollout in rollouts)
            (rollout.Advantages, rollout.Returns) = Advantages.Gae(
                rollout.Rewards, Doubles(rollout.Values), options.Gamma, options.Lambda);
        if (!options.WhitenAdvantages)
            return;
        foreach (var (rollout, advantages) in rollouts.Zip(
            Advantages.Whiten([.. rollouts.Select(rollout => rollout.Advantages)], keepMean: false)))
            rollout.Advantages = advantages;

        static double[] Doubles(float[] values) => [.. values.Select(value => (double)value)];
    }
}
