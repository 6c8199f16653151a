using Dpo.Native;
using TorchSharp;
using static TorchSharp.torch;

namespace Dpo.Generation;

/// <summary>Draws by operations on the logits' device, from which nothing is read: the tokens are those of
/// <see cref="TokenDraw"/>, except where rounding decides.</summary>
/// <param name="options">How.</param>
/// <param name="drawable">The ids that may be drawn; null for all.</param>
internal sealed class DeviceDraw(SamplingOptions options, DrawableIds? drawable) : ITokenDraw
{
    public Tensor Draw(Tensor logits, IReadOnlyList<SampledSequence?> sequences, Tensor? last)
    {
        var uniforms = DeviceCopy.Of([.. sequences.Select(sequence => sequence?.TakeUniform() ?? 0)], logits.device);
        if (options.RepetitionPenalty == 1)
            return Draw(logits, uniforms, null);

        var longest = sequences.Max(sequence => sequence?.Seen.Count() ?? 1);
        var seen = DeviceCopy.Of([.. sequences.SelectMany(sequence => Padded(sequence, longest))], logits.device)
            .view(-1, longest);
        return Draw(logits, uniforms, last is null ? seen : cat([seen, last.unsqueeze(1)], 1));

        // What falls on a token twice falls on it once.
        static IEnumerable<long> Padded(SampledSequence? sequence, int longest)
        {
            var tokens = sequence is null ? [0] : sequence.Seen.Select(id => (long)id).ToArray();
            return tokens.Concat(Enumerable.Repeat(tokens[0], longest - tokens.Length));
        }
    }

    /// <summary>Draws.</summary>
    /// <param name="logits"><c>[S, V]</c>, fp32 or bf16.</param>
    /// <param name="uniforms">Numbers from 0 up to 1, <c>[S]</c>, fp32.</param>
    /// <param name="seen">The tokens that a repetition penalty falls on, <c>[S, L]</c>, int64; null where there is none.</param>
    /// <returns>As the other overload's.</returns>
    internal Tensor Draw(Tensor logits, Tensor uniforms, Tensor? seen)
    {
        using var scope = NewDisposeScope();
        logits = logits.to(float32);
        var scores = Drawable(seen is null ? logits : Penalized(logits, seen));
        var ids = options switch
        {
            { Temperature: 0 } => scores.argmax(1).unsqueeze(1),
            { TopK: null, TopP: 1 } => InOrderOfIds(scores, uniforms),
            _ => FromTheLikeliest(scores, uniforms),
        };
        var logProbs = logits.gather(1, ids).to(float64).sub(logits.logsumexp(1, keepdim: true).to(float64));
        return cat([ids.to(float64), logProbs], 1).t().contiguous().MoveToOuterDisposeScope();
    }

    private Tensor Penalized(Tensor logits, Tensor seen)
    {
        var scores = logits.gather(1, seen).to(float64);
        var penalized = where(
            scores.Below(0), scores.Times(options.RepetitionPenalty), scores.DividedBy(options.RepetitionPenalty));
        return logits.scatter(1, seen, penalized.to(float32));
    }

    private Tensor Drawable(Tensor scores)
    {
        if (drawable is null)
            return scores;
        scores = scores.narrow(1, 0, drawable.Count);
        if (drawable.Gaps.Count == 0)
            return scores;
        using var nothing = double.NegativeInfinity.ToScalar();
        return scores.index_fill(1, DeviceCopy.Of([.. drawable.Gaps.Select(id => (long)id)], scores.device), nothing);
    }

    private Tensor InOrderOfIds(Tensor scores, Tensor uniforms)
    {
        var masses = scores.sub(scores.amax([1], keepdim: true));
        if (options.Temperature != 1)
            masses = masses.Times((double)(float)(1 / options.Temperature));
        return FromNucleus(masses.exp_(), uniforms, share: 1);
    }

    private Tensor FromTheLikeliest(Tensor scores, Tensor uniforms)
    {
        var order = options.TopK is { } k
            ? Keys(scores).topk((int)Math.Min(k, scores.shape[1]), 1).indexes
            : scores.sort(1, descending: true, stable: true).Indices;
        var sorted = scores.gather(1, order).to(float64);
        var masses = sorted.sub(sorted.narrow(1, 0, 1)).DivideInPlace(options.Temperature).exp_();
        return order.gather(1, FromNucleus(masses, uniforms, options.TopP));
    }

    /// <summary>The scores, in fp64, each less by so little that no two are alike: of equals the one with the smaller id is the
    /// largest.</summary>
    private static Tensor Keys(Tensor scores)
    {
        // Neighbours in fp32 differ by more than 2⁻²⁵ of their size, which is 2²⁰ ids; the least of them but 0 is 2⁻¹⁴⁹.
        var keys = scores.to(float64);
        var less = keys.abs().AtMost(float.MaxValue).MultiplyInPlace(1.0 / (1L << 45)).AddInPlace(Math.ScaleB(1, -200))
            .mul_(HeldScalars.Range(scores.shape[1], scores.device));
        return keys.sub_(less);
    }

    /// <summary>Keeps the places up to the one at which the cumulative mass reaches a share of the total (top-p), and returns the
    /// first at which it exceeds the uniform number times the kept mass.</summary>
    /// <returns><c>[S, 1]</c>.</returns>
    private static Tensor FromNucleus(Tensor masses, Tensor uniforms, double share)
    {
        var cumulative = masses.cumsum(1, float64);
        // What is no number is found nowhere.
        using var most = (masses.shape[1] - 1).ToScalar();
        var last = searchsorted(cumulative, cumulative.narrow(1, -1, 1).Times(share)).clamp_max_(most);
        var target = cumulative.gather(1, last).mul(uniforms.unsqueeze(1));
        return minimum(searchsorted(cumulative, target, right: true), last);
    }
}
