using CsCheck;

namespace Dpo.Tests;

/// <summary>Draws against the definitions written out in float64, token by token.</summary>
public class TokenDrawTests
{
    private static readonly Gen<SamplingOptions> Options =
        from temperature in OneOf(0, 0.3, 1, 1.7)
        from topK in OneOf<int?>(null, 1, 3, 20, 1000)
        from topP in OneOf(1, 0.999, 0.9, 0.5, 0.01)
        from penalty in OneOf(1, 1.2, 0.8)
        select new SamplingOptions { Temperature = temperature, TopK = topK, TopP = topP, RepetitionPenalty = penalty };

    private static readonly Gen<(float[] Logits, int[] Seen)> Row =
        from vocabulary in OneOf(2, 17, 700)
        from draw in Gen.Int
        let logits = Distinct(vocabulary, new Random(draw))
        from seen in Gen.Int[0, vocabulary - 1].Array[1, 9]
        select (logits, seen);

    [Fact]
    public void A_draw_is_where_the_cumulative_distribution_passes_the_uniform_number() =>
        Gen.Select(Row, Options, Gen.Int[0, (1 << 24) - 1].Array[1, 5]).Sample((row, options, draws) =>
        {
            var candidates = Candidates(row.Logits, row.Seen, options);
            var logSumExp = LogSumExp(row.Logits);
            foreach (var uniform in draws.Select(draw => draw / (float)(1 << 24)))
            {
                var (id, logProb) = TokenDraw.Draw(row.Logits, uniform, row.Seen, options);
                Assert.Equal(row.Logits[id] - logSumExp, logProb, 1e-5);
                var place = candidates.FindIndex(candidate => candidate.Id == id);
                Assert.True(place >= 0, $"{id} is not among those to be drawn from.");
                var before = candidates.Take(place).Sum(candidate => candidate.Probability);
                Assert.InRange(uniform, before - 3e-6, before + candidates[place].Probability + 3e-6);
            }
        }, iter: 500, threads: 1);

    [Fact]
    public void A_nucleus_wider_than_the_first_look_is_found_whole()
    {
        // 5,000 equally likely tokens among 6,000: 90 % of the mass are 4,500 of them.
        var logits = Enumerable.Range(0, 6000).Select(token => token < 5000 ? 0f : -100).ToArray();
        new Random(0).Shuffle(logits);
        var ids = Enumerable.Range(0, 2000).Select(draw => TokenDraw.Draw(logits, draw / 2000f, [], new() { TopP = 0.9 }).Id).ToArray();
        Assert.All(ids, id => Assert.Equal(0, logits[id]));
        // Equal steps through 4,500 tokens, 2,000 of them: none twice.
        Assert.Equal(2000, ids.Distinct().Count());
    }

    /// <summary>Masses of 1 add up without rounding, so that a sum may equal the border.</summary>
    [Fact]
    public void A_nucleus_ends_with_the_token_that_reaches_its_probability()
    {
        float[] logits = [0, float.NegativeInfinity, 0, 0, 0];
        var almostOne = 1 - (1f / (1 << 24));
        int Last(double topP, int? topK) => TokenDraw.Draw(logits, almostOne, [], new() { TopP = topP, TopK = topK }).Id;
        Assert.Equal([0, 2, 3, 4], new[] { 0.25, 0.5, 0.75, 0.76 }.Select(topP => Last(topP, topK: 5)));
        Assert.Equal([0, 2], new[] { 0.5, 0.51 }.Select(topP => Last(topP, topK: 2)));
        // Without top-k the whole row's sum is in fp32, and the border known to as much.
        Assert.Equal([0, 2, 3, 4], new[] { 0.249999, 0.499999, 0.749999, 0.750001 }.Select(topP => Last(topP, topK: null)));
        // A uniform number at the border of two tokens belongs to the second, in every way of drawing.
        foreach (var options in (SamplingOptions[])[new(), new() { Temperature = 0.5 }, new() { TopK = 4 }, new() { TopP = 0.9999 }])
        {
            Assert.Equal(2, TokenDraw.Draw(logits, 0.25f, [], options).Id);
            Assert.Equal(0, TokenDraw.Draw(logits, 0.2499999f, [], options).Id);
        }
    }

    [Fact]
    public void Of_equals_those_with_smaller_ids_come_first()
    {
        var logits = Enumerable.Range(0, 100).Select(token => token % 10 == 3 ? 1f : 0).ToArray();
        Assert.Equal(3, TokenDraw.Draw(logits, 0.5f, [], new() { Temperature = 0 }).Id);
        int[] drawn = [.. Enumerable.Range(0, 4).Select(draw => TokenDraw.Draw(logits, (draw + 0.5f) / 4, [], new() { TopK = 4 }).Id)];
        Assert.Equal([3, 13, 23, 33], drawn);
    }

    [Fact]
    public void Tokens_without_probability_are_never_drawn()
    {
        foreach (var (length, likely) in ((int, int)[])[(9, 4), (9, 8), (3000, 1500), (3000, 0), (3000, 2999)])
        {
            var logits = Enumerable.Repeat(float.NegativeInfinity, length).ToArray();
            logits[likely] = 1;
            foreach (var options in (SamplingOptions[])[
                new(), new() { Temperature = 0.5 }, new() { TopK = 5 }, new() { TopP = 0.999999 }, new() { TopP = 1e-9 }, new() { Temperature = 0 }])
            {
                foreach (var uniform in (float[])[0, 1 - (1f / (1 << 24))])
                {
                    var (id, logProb) = TokenDraw.Draw(logits, uniform, [], options);
                    Assert.Equal(likely, id);
                    Assert.Equal(0, logProb, 3e-7);
                }
            }
        }
    }

    [Fact]
    public void What_is_no_distribution_has_no_log_probability()
    {
        foreach (var value in (float[])[float.NaN, float.PositiveInfinity])
        {
            var logits = new float[700];
            logits[650] = value;
            foreach (var options in (SamplingOptions[])[new(), new() { Temperature = 0 }, new() { TopK = 3 }, new() { TopP = 0.9 }])
                Assert.False(float.IsFinite(TokenDraw.Draw(logits, 0.5f, [], options).LogProb));
        }
        Assert.False(float.IsFinite(TokenDraw.Draw([float.NegativeInfinity, float.NegativeInfinity], 0.5f, [], new()).LogProb));
    }

    [Fact]
    public void Uniform_numbers_are_spread_and_differ_by_seed_sequence_and_step()
    {
        var numbers = (
            from seed in Enumerable.Range(-2, 5)
            from sequence in Enumerable.Range(0, 40)
            from step in Enumerable.Range(0, 50)
            select CounterRandom.Uniform(seed, sequence, step)).ToArray();
        Assert.All(numbers, number => Assert.InRange(number, 0f, 1f - (1f / (1 << 24))));
        Assert.True(numbers.Distinct().Count() > 0.999 * numbers.Length);
        // The standard error of the mean of 10,000 is 0.003, of a tenth's share 0.003.
        Assert.InRange(numbers.Average(), 0.485, 0.515);
        for (var tenth = 0; tenth < 10; tenth++)
            Assert.InRange(numbers.Count(number => (int)(number * 10) == tenth) / (double)numbers.Length, 0.085, 0.115);
        // Neighbours in any of the three are not correlated.
        foreach (var distance in (int[])[1, 50, 2000])
            Assert.InRange(numbers.Zip(numbers.Skip(distance), (one, other) => (one - 0.5) * (other - 0.5)).Average() * 12, -0.05, 0.05);
    }

    /// <summary>Logits from −6 to 6, no two alike: which of two equals comes first is not said.</summary>
    private static float[] Distinct(int count, Random random)
    {
        float[] logits = [.. Enumerable.Range(0, count).Select(rank => (float)((rank + random.NextDouble()) / count * 12) - 6)];
        random.Shuffle(logits);
        return logits;
    }

    private static Gen<T> OneOf<T>(params T[] values) => Gen.Int[0, values.Length - 1].Select(index => values[index]);

    /// <summary>What may be drawn, in the order in which it lies, and with what probability.</summary>
    private static List<(int Id, double Probability)> Candidates(float[] logits, int[] seen, SamplingOptions options)
    {
        var scores = logits.Select((logit, id) => seen.Contains(id) && options.RepetitionPenalty != 1
            ? (float)(logit < 0 ? logit * options.RepetitionPenalty : logit / options.RepetitionPenalty) : (double)logit).ToArray();
        if (options.Temperature == 0)
            return [(Array.IndexOf(scores, scores.Max()), 1)];
        var all = scores.Select((score, id) => (Id: id, Score: score / options.Temperature)).ToList();
        var isFiltered = options.TopK is not null || options.TopP < 1;
        var kept = isFiltered ? [.. all.OrderByDescending(token => token.Score).Take(options.TopK ?? int.MaxValue)] : all;
        var normalizer = kept.Sum(token => Math.Exp(token.Score));
        var (mass, nucleus) = (0.0, new List<(int Id, double Probability)>());
        foreach (var (id, score) in kept)
        {
            if (isFiltered && mass >= options.TopP)
                break;
            nucleus.Add((id, Math.Exp(score) / normalizer));
            mass += nucleus[^1].Probability;
        }
        return nucleus.ConvertAll(token => (token.Id, token.Probability / mass));
    }

    private static double LogSumExp(float[] logits) => Math.Log(logits.Sum(logit => Math.Exp(logit)));
}
