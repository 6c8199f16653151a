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
    private readonly ValuedStates states = new(models, options);

    /// <summary>What a reward's scores are made of.</summary>
    public CompletionWorth Worth { get; } = new(options);

    /// <summary>Samples and measures.</summary>
    /// <param name="prompts">The round's prompts.</param>
    /// <param name="seed">What its draws follow from.</param>
    /// <param name="cancellationToken">Ends the sampling between two tokens.</param>
    public Rollout[] Of(IReadOnlyList<IReadOnlyList<int>> prompts, int seed, CancellationToken cancellationToken)
    {
        var sampling = options.Sampling with { Seed = seed };
        var samples = Sampler.Sample(policy, prompts, sampling, tokenizer, onToken: null, cancellationToken);
        (SampledCompletion Sample, bool IsEnded)[] scored = [.. samples.Select(Cut)];
        var scores = Scores.Of(reward, prompts, [.. scored.Select(of => of.Sample)], tokenizer);
        bool[] ended = [.. scored.Select(of => of.IsEnded)];
        return Measure(
            [.. samples.Select(sample => new TrainingExample(prompts[sample.PromptIndex], [sample.Tokens], []))],
            Worth.Of([.. scores.Select(score => (double)score)], ended), ended);
    }

    /// <summary>What of a completion is scored, and whether it counts as one that ended by itself.</summary>
    private (SampledCompletion Sample, bool IsEnded) Cut(SampledCompletion sample)
    {
        if (options.ScoreCut is not { } cut)
            return (sample, sample.StopReason != StopReason.Length);
        var (ids, isEnded) = ScoreCut.Of(
            sample.Tokens, cut.From, id => tokenizer!.Decode([id], skipSpecial: true).Trim() == cut.Text);
        return (isEnded ? sample with { Tokens = ids, Text = tokenizer!.Decode(ids, skipSpecial: true) } : sample, isEnded);
    }

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
            var (logProbs, _, values) = states.Measure(part);
            var (own, other, worth) = (Read(logProbs), Read(reference.PerToken), Read(values));
            var (token, state) = (0, 0);
            foreach (var example in part)
            {
                var tokens = token..(token += example.Completions[0].Count);
                rollouts.Add(new Rollout
                {
                    Example = example,
                    Score = scores[rollouts.Count],
                    Ended = ended[rollouts.Count],
                    LogProbs = own[tokens],
                    ReferenceLogProbs = other[tokens],
                    Values = worth[state..(state += states.CountOf(example))],
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
            rollout.Rewards = Advantages.Rewards(rollout.Kl, coefficient, rollout.Score, rollout.Values.Length);
        }
        if (options.WhitenRewards)
        {
            foreach (var (rollout, rewards) in rollouts.Zip(
                Advantages.Whiten([.. rollouts.Select(rollout => rollout.Rewards)], keepMean: true)))
                rollout.Rewards = rewards;
        }
        foreach (var rollout in rollouts)
        {
            (var advantages, rollout.Returns) = Advantages.Gae(
                rollout.Rewards, Doubles(rollout.Values), options.Gamma, options.Lambda);
            rollout.Advantages = advantages[..rollout.LogProbs.Length];
        }
        if (!options.WhitenAdvantages)
            return;
        foreach (var (rollout, advantages) in rollouts.Zip(
            Advantages.Whiten([.. rollouts.Select(rollout => rollout.Advantages)], keepMean: false)))
            rollout.Advantages = advantages;

        static double[] Doubles(float[] values) => [.. values.Select(value => (double)value)];
    }
}
