using System.Globalization;

namespace Dpo.Evaluation.Judging;

/// <summary>Likeness to a reference text as a judge: the completion that is more like <see cref="Comparison.Reference"/> is
/// better. Offline.</summary>
public sealed class ReferenceJudge : IJudge
{
    private readonly Func<string, string, double> likeness;
    private readonly double margin;

    /// <summary>Creates a judge.</summary>
    /// <param name="name">What the measure is known by: verdicts are kept by this name, so another measure needs another.</param>
    /// <param name="likeness">How like a completion, the first, is to the reference, the second; the higher the more. Such as
    /// <see cref="TextOverlap.RougeL"/> or <see cref="TextOverlap.Unigrams"/>.</param>
    /// <param name="margin">Values that differ by this or less are a tie; 0 or more.</param>
    public ReferenceJudge(string name, Func<string, string, double> likeness, double margin = 0)
    {
        ArgumentException.ThrowIfNullOrEmpty(name);
        ArgumentNullException.ThrowIfNull(likeness);
        ArgumentOutOfRangeException.ThrowIfNegative(margin);
        (Name, this.likeness, this.margin) = (name, likeness, margin);
    }

    /// <inheritdoc/>
    public string Name { get; }

    /// <summary>The name and the margin.</summary>
    public string Identity => string.Create(CultureInfo.InvariantCulture, $"reference\n{Name}\n{margin:R}");

    /// <summary>64.</summary>
    public int BatchSize => 64;

    /// <inheritdoc/>
    /// <exception cref="InvalidInputException">A comparison has no reference.</exception>
    /// <exception cref="InvalidOperationException">A likeness is not finite.</exception>
    public Task<IReadOnlyList<Judgement>> CompareAsync(
        IReadOnlyList<Comparison> comparisons, CancellationToken cancellationToken = default)
    {
        ArgumentNullException.ThrowIfNull(comparisons);
        cancellationToken.ThrowIfCancellationRequested();
        return Task.FromResult<IReadOnlyList<Judgement>>([.. comparisons.Select(Judge)]);
    }

    private Judgement Judge(Comparison comparison)
    {
        var reference = comparison.Reference ?? throw new InvalidInputException(
            $"Comparison {comparison.Id} has no reference text, by which {Name} judges; set Comparison.Reference.");
        double Of(string text) => likeness(text, reference) is var value && double.IsFinite(value)
            ? value
            : throw new InvalidOperationException(
                $"{Name} gave {value} for a completion of comparison {comparison.Id}; it must give a finite number for each, " +
                "an empty one too.");
        return Judgement.Of(Of(comparison.First), Of(comparison.Second), margin);
    }
}
