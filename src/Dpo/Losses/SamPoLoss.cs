using Dpo.Batching;
using Dpo.Data;
using Dpo.LogProbs;
using Dpo.Native;
using static TorchSharp.torch;

namespace Dpo.Losses;

/// <summary>
/// <c>sampo</c>: −ls(βΔ) with log-ratios summed over min(n_w, n_l) tokens of each completion, drawn from the longer one
/// (SamPO, Lu et al. 2024, "Eliminating Biased Length Reliance"): a completion earns nothing by being longer.
/// </summary>
/// <remarks>For when answers grow longer in training than they grow better; where <see cref="LengthDesensitizedLoss"/> drops the
/// end of the longer completion, this drops tokens from everywhere. A pair's draw follows from its prompt, its completions and
/// the seed, so that it is the same in every epoch, however batches are made and cut, and for policy and reference: the authors'
/// code draws for each of the two, which adds noise to the log-ratio. The reported rewards are those of whole
/// completions.</remarks>
/// <param name="beta">β &gt; 0.</param>
/// <param name="seed">Begins the draws.</param>
public sealed class SamPoLoss(double beta = 0.1, int seed = 0) : PairLoss
{
    /// <inheritdoc/>
    public override double Beta { get; } = LossArgument.Beta(beta);

    /// <summary>What begins the draws.</summary>
    public int Seed { get; } = seed;

    /// <inheritdoc/>
    public override Tensor Losses(PairLogProbs pairs)
    {
        ArgumentNullException.ThrowIfNull(pairs);
        return -nn.functional.logsigmoid(pairs.Margins.Times(Beta));
    }

    /// <inheritdoc/>
    /// <exception cref="InvalidOperationException">The preferences were not made of a batch, so that nothing tells one pair from
    /// another.</exception>
    public override PairLogProbs PairsOf(PreferenceLogProbs part)
    {
        ArgumentNullException.ThrowIfNull(part);
        if (part.Preferences.Examples.Count == 0)
            throw new InvalidOperationException(
                "SamPO draws tokens by what a pair's completions are; take the preferences from PreferenceBatch.To.");
        var (chosen, rejected) = (new List<long[]>(), new List<long[]>());
        var (first, offsets) = (0, part.Policy.Offsets);
        foreach (var example in part.Preferences.Examples)
        {
            foreach (var pair in example.Pairs)
            {
                var draw = Draw(example, pair);
                chosen.Add([.. draw.Chosen.Select(token => (long)offsets[first + pair.Chosen] + token)]);
                rejected.Add([.. draw.Rejected.Select(token => (long)offsets[first + pair.Rejected] + token)]);
            }
            first += example.Completions.Count;
        }
        return part.Pairs() with
        {
            PolicyChosen = Sums(part.Policy.PerToken, chosen),
            PolicyRejected = Sums(part.Policy.PerToken, rejected),
            ReferenceChosen = part.Reference is null ? null : Sums(part.Reference.PerToken.detach(), chosen),
            ReferenceRejected = part.Reference is null ? null : Sums(part.Reference.PerToken.detach(), rejected),
        };
    }

    /// <summary>The tokens of a pair's completions that count, in order: all of the shorter one, as many of the other.</summary>
    internal (int[] Chosen, int[] Rejected) Draw(TrainingExample example, PreferencePair pair)
    {
        var (chosen, rejected) = (example.Completions[pair.Chosen], example.Completions[pair.Rejected]);
        var count = Math.Min(chosen.Count, rejected.Count);
        var key = CounterRandom.Mix((ulong)Seed);
        foreach (var ids in (IReadOnlyList<int>[])[example.Prompt, chosen, rejected])
        {
            key = CounterRandom.Mix(key + (ulong)ids.Count);
            foreach (var id in ids)
                key = CounterRandom.Mix(key + (ulong)id);
        }
        int[] Of(int length) => length == count
            ? [.. Enumerable.Range(0, length)]
            : [.. Enumerable.Range(0, length).OrderBy(token => CounterRandom.Mix(key + (ulong)token)).Take(count).Order()];
        return (Of(chosen.Count), Of(rejected.Count));
    }

    /// <summary>Sums over some tokens, given for every pair.</summary>
    internal static Tensor Sums(Tensor perToken, IReadOnlyList<long[]> tokens)
    {
        var offsets = new long[tokens.Count + 1];
        foreach (var (pair, own) in tokens.Index())
            offsets[pair + 1] = offsets[pair] + own.Length;
        return SegmentSums.Of(
            perToken.index_select(0, DeviceCopy.Of([.. tokens.SelectMany(own => own)], perToken.device)), offsets);
    }
}
