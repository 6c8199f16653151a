using Dpo.Generation;
using Dpo.Models;
using Dpo.Tokenization;

namespace Dpo.Baselines;

/// <summary>
/// The best of N completions by a reward: the paper's strongest baseline, and its most costly. One pass of sampling serves every
/// n up to N: what the best of n is worth on average is estimated from all N, without bias.
/// </summary>
public static class BestOfN
{
    /// <summary>Samples N completions of every prompt and scores them.</summary>
    /// <param name="model">The model, such as the reference.</param>
    /// <param name="prompts">The prompts' ids.</param>
    /// <param name="reward">What scores completions.</param>
    /// <param name="sampling">How to sample; <see cref="SamplingOptions.SamplesPerPrompt"/> is N.</param>
    /// <param name="tokenizer">As <see
    /// cref="Sampler.Sample(CausalLanguageModel, IReadOnlyList{IReadOnlyList{int}}, SamplingOptions?, TextTokenizer?,
    /// Action{GeneratedToken}?, CancellationToken)"/> takes it, and for rewards that read text.</param>
    /// <param name="cancellationToken">Stops the sampling.</param>
    /// <returns>For every prompt its N completions, with the score of each.</returns>
    public static IReadOnlyList<IReadOnlyList<(SampledCompletion Completion, float Score)>> Sample(
        CausalLanguageModel model, IReadOnlyList<IReadOnlyList<int>> prompts, IReward reward, SamplingOptions sampling,
        TextTokenizer? tokenizer = null, CancellationToken cancellationToken = default)
    {
        ArgumentNullException.ThrowIfNull(reward);
        var samples = Sampler.Sample(model, prompts, sampling, tokenizer, onToken: null, cancellationToken);
        var scores = Scores.Of(reward, prompts, samples, tokenizer);
        return [.. samples.Zip(scores).GroupBy(scored => scored.First.PromptIndex)
            .Select(group => (IReadOnlyList<(SampledCompletion, float)>)[.. group])];
    }

    /// <summary>What the best of n of a prompt's N completions is worth on average over all subsets: Σ C(i − 1, n − 1) / C(N, n)
    /// · x_(i), over the scores from the lowest to the highest. Unbiased for independent samples.</summary>
    /// <param name="scores">The N scores, by which the best is chosen.</param>
    /// <param name="n">From 1 to N.</param>
    public static double Expected(IReadOnlyList<double> scores, int n) => Expected(scores, scores, n);

    /// <summary>The same where another score says what the chosen one is really worth: over-optimisation shows as a difference of
    /// the two (Gao et al. 2022).</summary>
    /// <param name="scores">The N scores, by which the best is chosen; where two are equal the one that stands first is the
    /// lower.</param>
    /// <param name="worth">What each completion is worth.</param>
    /// <param name="n">From 1 to N.</param>
    public static double Expected(IReadOnlyList<double> scores, IReadOnlyList<double> worth, int n)
    {
        ArgumentNullException.ThrowIfNull(scores);
        ArgumentNullException.ThrowIfNull(worth);
        ArgumentOutOfRangeException.ThrowIfNotEqual(worth.Count, scores.Count);
        ArgumentOutOfRangeException.ThrowIfLessThan(n, 1);
        ArgumentOutOfRangeException.ThrowIfGreaterThan(n, scores.Count);
        var (sum, share, total) = (0.0, (double)n / scores.Count, scores.Count);
        // From the highest on: it is the best of n with probability n / N; the next one is where all others are below it.
        int[] ascending = [.. Enumerable.Range(0, total).OrderBy(index => scores[index])];
        for (var below = total - 1; below >= n - 1; below--)
        {
            sum += share * worth[ascending[below]];
            share *= below == 0 ? 0 : (double)(below - n + 1) / below;
        }
        return sum;
    }

    /// <summary>log n − (n − 1)/n, in nats: no less than the KL of the best of n to the model that is sampled from (Stiennon et
    /// al. 2020; Beirami et al. 2024).</summary>
    /// <param name="n">1 or more.</param>
    public static double KlBound(int n)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(n, 1);
        return Math.Log(n) - ((n - 1.0) / n);
    }
}
