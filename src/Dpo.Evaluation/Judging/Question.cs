using System.Buffers.Binary;
using Dpo.Files;

namespace Dpo.Evaluation.Judging;

/// <summary>A comparison as a judge is shown it.</summary>
/// <param name="Comparison">The comparison as it was given.</param>
/// <param name="Order">Which way round it is shown.</param>
/// <param name="Digest">What its verdict is kept by: a digest of the judge's identity and of all that it is shown.</param>
internal sealed record Question(Comparison Comparison, ShownOrder Order, string Digest)
{
    /// <summary>What the judge is given.</summary>
    public Comparison Shown => Order == ShownOrder.AsGiven ? Comparison : Comparison.Reversed;

    /// <summary>The questions of a comparison: one, or one for each order.</summary>
    public static IEnumerable<Question> Of(string identity, Comparison comparison, JudgingOptions options)
    {
        ShownOrder[] orders = options.BothOrders ? [ShownOrder.AsGiven, ShownOrder.Reversed] : [Chosen(comparison, options.Seed)];
        return orders.Select(order => new Question(comparison, order, DigestOf(identity, comparison, order)));
    }

    /// <summary>The judgement of what was shown, as one of the comparison as it was given.</summary>
    public Judgement TurnBack(Judgement judgement) => Order == ShownOrder.AsGiven || judgement.Verdict is not { } verdict
        ? judgement
        : judgement with { Verdict = (Verdict)(-(int)verdict) };

    private static ShownOrder Chosen(Comparison comparison, int seed)
    {
        using var digest = new Digest();
        digest.Append(seed);
        digest.Append(comparison.Id);
        digest.Append(comparison.Digest);
        return (ShownOrder)(BinaryPrimitives.ReadUInt32LittleEndian(digest.End()) & 1);
    }

    private static string DigestOf(string identity, Comparison comparison, ShownOrder order)
    {
        using var digest = new Digest();
        digest.Append(identity);
        digest.Append(comparison.Id);
        digest.Append(comparison.Digest);
        digest.Append((int)order);
        return digest.EndAsText();
    }
}
