using Dpo.Generation;
using Dpo.Native;

namespace Dpo.Baselines;

/// <summary>Completions of two writers, half of a prompt's each.</summary>
internal static class Halves
{
    /// <summary>Samples both halves.</summary>
    /// <param name="sampling">How to draw, and how many of each prompt together.</param>
    /// <param name="first">Samples the first half of every prompt's completions.</param>
    /// <param name="second">Samples the second half, under a seed of its own: where both are one model they are to
    /// differ.</param>
    public static IReadOnlyList<SampledCompletion> Sample(
        SamplingOptions sampling, Func<SamplingOptions, IReadOnlyList<SampledCompletion>> first,
        Func<SamplingOptions, IReadOnlyList<SampledCompletion>> second)
    {
        var count = sampling.SamplesPerPrompt / 2;
        if (sampling.SamplesPerPrompt % 2 != 0)
            throw new ArgumentException(
                $"Two models write half of a prompt's completions each, and SamplesPerPrompt is {sampling.SamplesPerPrompt}; " +
                "make it even.", nameof(sampling));
        var half = sampling with { SamplesPerPrompt = count };
        var firsts = first(half);
        var seconds = second(half with { Seed = (int)CounterRandom.Mix((uint)sampling.Seed) });
        return
        [
            .. firsts.Chunk(count).Zip(seconds.Chunk(count)).SelectMany(of => of.First.Concat(
                of.Second.Select(sample => sample with { SampleIndex = count + sample.SampleIndex }))),
        ];
    }
}
