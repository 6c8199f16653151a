using static TorchSharp.torch;

namespace Dpo;

/// <summary>Draws a token from each row of logits, by the inverse of the cumulative distribution.</summary>
internal static class TokenDraw
{
    /// <summary>How many of the likeliest tokens are looked through first for a nucleus; sorting the whole vocabulary takes much
    /// longer.</summary>
    private const int FirstNucleus = 256;

    /// <summary>Draws.</summary>
    /// <param name="logits"><c>[S, V]</c>, fp32.</param>
    /// <param name="uniforms">A number from 0 up to 1 for every row: where in its cumulative distribution the drawn token lies. Its
    /// tokens are in the order of their ids or, under top-k and top-p, from the likeliest down.</param>
    /// <param name="seen">The tokens that a repetition penalty falls on, <c>[S, T]</c>, int64; one may occur more than once.</param>
    /// <param name="options">Penalty, temperature, top-k and top-p.</param>
    /// <returns>The drawn tokens, <c>[S]</c>, int64, and their log-probabilities by the logits as they are given, <c>[S]</c>.</returns>
    public static (Tensor Ids, Tensor LogProbs) Draw(Tensor logits, float[] uniforms, Tensor? seen, SamplingOptions options)
    {
        using var scope = NewDisposeScope();
        var logSumExp = logits.logsumexp(1, keepdim: true);
        var scores = seen is null ? logits : Penalize(logits, seen, options.RepetitionPenalty);
        var ids = options.Temperature == 0 ? scores.argmax(1) : Draw(scores, logSumExp, tensor(uniforms, device: logits.device), options);
        var logProbs = logits.gather(1, ids.unsqueeze(1)).sub_(logSumExp).squeeze(1);
        return scope.MoveToOuter(ids, logProbs);
    }

    private static Tensor Penalize(Tensor logits, Tensor seen, double penalty)
    {
        var scores = logits.gather(1, seen);
        return logits.clone().scatter_(1, seen, where(scores.lt(0), scores * penalty, scores / penalty));
    }

    private static Tensor Draw(Tensor scores, Tensor logSumExp, Tensor uniforms, SamplingOptions options)
    {
        if (options.TopK is null && options.TopP == 1)
        {
            // Where nothing was asked for, the distribution is the model's, whose normalizer is known.
            var isModels = options is { Temperature: 1, RepetitionPenalty: 1 };
            return Invert((isModels ? (scores - logSumExp).exp_() : (scores / options.Temperature).softmax(1)).cumsum(1), uniforms);
        }
        var (probabilities, ids) = options.TopK is { } k
            ? Likeliest(scores, options, (int)Math.Min(k, scores.shape[1]), logSumExp: null)
            : Nucleus(scores, options);
        var cumulative = probabilities.cumsum(1);
        // A token stays if those before it do not reach the mass; the others are given none.
        probabilities.masked_fill_((cumulative - probabilities).ge(options.TopP), 0);
        return ids.gather(1, Invert(probabilities.cumsum(1), uniforms).unsqueeze(1)).squeeze(1);
    }

    /// <summary>As many of the likeliest tokens as hold the nucleus of every row.</summary>
    private static (Tensor Probabilities, Tensor Ids) Nucleus(Tensor scores, SamplingOptions options)
    {
        var vocabulary = (int)scores.shape[1];
        var logSumExp = (scores / options.Temperature).logsumexp(1, keepdim: true);
        for (var count = Math.Min(FirstNucleus, vocabulary); ; count = Math.Min(8 * count, vocabulary))
        {
            var (probabilities, ids) = Likeliest(scores, options, count, logSumExp);
            if (count == vocabulary || probabilities.sum(1).min().item<double>() >= options.TopP)
                return (probabilities, ids);
        }
    }

    /// <summary>The probabilities, in float64 so that their sums are exact enough, and the ids of the likeliest tokens, from the
    /// likeliest down, <c>[S, count]</c>; relative to those tokens alone where no normalizer is given.</summary>
    private static (Tensor Probabilities, Tensor Ids) Likeliest(Tensor scores, SamplingOptions options, int count, Tensor? logSumExp)
    {
        var (values, ids) = scores.topk(count, 1);
        values = values.to(float64) / options.Temperature;
        return (logSumExp is null ? values.softmax(1) : (values - logSumExp).exp(), ids);
    }

    /// <summary>The first entry of every row at which the cumulative mass <c>[S, C]</c> exceeds the given share of its total:
    /// never an entry without mass.</summary>
    private static Tensor Invert(Tensor cumulative, Tensor uniforms)
    {
        var target = cumulative.narrow(1, cumulative.shape[1] - 1, 1) * uniforms.unsqueeze(1).to(cumulative.dtype);
        return searchsorted(cumulative, target, right: true).squeeze(1);
    }
}
