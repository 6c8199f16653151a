using System.Numerics;
using System.Runtime.InteropServices;

namespace Dpo.Generation;

/// <summary>Draws a token from a row of logits, by the inverse of the cumulative distribution.</summary>
/// <remarks>It reads the logits where they lie. As operations on tensors each step would write the whole <c>[S, V]</c> anew,
/// which at 32 sequences takes longer than half of the model.</remarks>
internal static class TokenDraw
{
    /// <summary>How many of the likeliest tokens are looked through first for a nucleus; sorting the whole vocabulary takes much
    /// longer.</summary>
    private const int FirstNucleus = 256;

    /// <summary>Draws.</summary>
    /// <param name="logits"><c>[V]</c>.</param>
    /// <param name="uniform">A number from 0 up to 1: where in the cumulative distribution the drawn token lies. Its tokens are
    /// in the order of their ids or, under top-k and top-p, from the likeliest down.</param>
    /// <param name="seen">The tokens that a repetition penalty falls on; one may occur more than once.</param>
    /// <param name="options">Penalty, temperature, top-k and top-p.</param>
    /// <param name="drawable">The ids that may be drawn; null for all.</param>
    /// <returns>The drawn token, and its log-probability by all logits as they are given: a finite number unless the logits are
    /// no distribution.</returns>
    public static (int Id, float LogProb) Draw(
        ReadOnlySpan<float> logits, float uniform, IEnumerable<int> seen, SamplingOptions options, DrawableIds? drawable = null)
    {
        var model = new TokenMasses(logits, temperature: 1);
        // What lies behind the last token is left out without writing the row anew.
        var scores = drawable is null ? logits : logits[..drawable.Count];
        if (options.RepetitionPenalty != 1)
            scores = Penalize(scores, seen, options.RepetitionPenalty);
        if (drawable is { Gaps.Count: > 0 })
            scores = Without(scores, drawable.Gaps);
        // Where nothing was asked for, the distribution is the model's.
        var isModels = drawable is null && options is { Temperature: 1, RepetitionPenalty: 1, TopK: null, TopP: 1 };
        var id = isModels ? model.Invert(uniform) : Draw(scores, uniform, options);
        return (id, (float)(logits[id] - model.LogSumExp));
    }

    private static float[] Penalize(ReadOnlySpan<float> logits, IEnumerable<int> seen, double penalty)
    {
        var scores = logits.ToArray();
        foreach (var id in seen.Where(id => id < scores.Length))
            scores[id] = (float)(logits[id] < 0 ? logits[id] * penalty : logits[id] / penalty);
        return scores;
    }

    private static float[] Without(ReadOnlySpan<float> logits, IReadOnlyList<int> ids)
    {
        var scores = logits.ToArray();
        foreach (var id in ids)
            scores[id] = float.NegativeInfinity;
        return scores;
    }

    private static int Draw(ReadOnlySpan<float> scores, float uniform, SamplingOptions options)
    {
        if (options.Temperature == 0)
            return Likeliest(scores, 1)[0];
        if (options.TopK is null && options.TopP == 1)
            return new TokenMasses(scores, options.Temperature).Invert(uniform);
        if (options.TopK is { } k)
        {
            var ids = Likeliest(scores, k);
            var masses = Masses(scores, ids, options.Temperature);
            return FromNucleus(ids, masses, options.TopP * masses.Sum(), uniform);
        }

        var enough = options.TopP * new TokenMasses(scores, options.Temperature).Total;
        for (var count = FirstNucleus; ; count *= 8)
        {
            var ids = Likeliest(scores, count);
            var masses = Masses(scores, ids, options.Temperature);
            if (count >= scores.Length || masses.Sum() >= enough)
                return FromNucleus(ids, masses, enough, uniform);
        }
    }

    /// <summary>The likeliest tokens, from the likeliest down; of equals those with the smaller ids.</summary>
    private static int[] Likeliest(ReadOnlySpan<float> scores, int count)
    {
        count = Math.Min(count, scores.Length);
        // The least likely of those kept is what the next is compared with; a vector of tokens at a time.
        var kept = new PriorityQueue<int, (float Score, int MinusId)>(count);
        var least = float.NegativeInfinity;
        var vectors = MemoryMarshal.Cast<float, Vector<float>>(scores);
        for (var token = 0; token < scores.Length; token++)
        {
            if (token % Vector<float>.Count == 0 && kept.Count == count)
            {
                var vector = token / Vector<float>.Count;
                while (vector < vectors.Length && !Vector.GreaterThanAny(vectors[vector], new Vector<float>(least)))
                    vector++;
                if ((token = vector * Vector<float>.Count) >= scores.Length)
                    break;
            }
            var priority = (scores[token], -token);
            if (kept.Count < count)
                kept.Enqueue(token, priority);
            else if (scores[token] > least)
                kept.DequeueEnqueue(token, priority);
            if (kept.Count == count)
                least = scores[kept.Peek()];
        }

        var ids = new int[kept.Count];
        for (var place = ids.Length - 1; place >= 0; place--)
            ids[place] = kept.Dequeue();
        return ids;
    }

    /// <summary>The masses of some tokens, the first of them the likeliest, whose mass is 1.</summary>
    private static double[] Masses(ReadOnlySpan<float> scores, int[] ids, double temperature)
    {
        var masses = new double[ids.Length];
        for (var place = 0; place < ids.Length; place++)
            masses[place] = Math.Exp(((double)scores[ids[place]] - scores[ids[0]]) / temperature);
        return masses;
    }

    /// <summary>Keeps the likeliest tokens until their mass is enough (top-p), and draws from those.</summary>
    private static int FromNucleus(int[] ids, double[] masses, double enough, float uniform)
    {
        var (kept, total) = (0, 0.0);
        while (kept < ids.Length && masses[kept] > 0 && (kept == 0 || total < enough))
            total += masses[kept++];
        var (place, cumulative) = (0, masses[0]);
        while (place < kept - 1 && cumulative <= uniform * total)
            cumulative += masses[++place];
        return ids[place];
    }
}
