using System.Collections;
using System.Globalization;
using System.Reflection;
using System.Runtime.CompilerServices;
using static TorchSharp.torch;

namespace Dpo.Losses;

/// <summary>A loss as a text that is equal where its type and its numbers are: <c>DpoLoss(Beta=0.1, LabelSmoothing=0,
/// …)</c>. Checkpoints record it, so what was written once stays as it is.</summary>
internal static class LossDescription
{
    /// <summary>What a loss says by <see cref="IPreferenceLoss"/>, of which no number is an argument.</summary>
    private static readonly HashSet<string> ofEveryLoss =
        [.. typeof(IPreferenceLoss).GetProperties().Select(property => property.Name)];

    /// <summary>By a loss's public properties; what is neither number, text, divergence, loss nor a list of them is left
    /// out.</summary>
    public static string OfProperties(IPreferenceLoss loss) => Of(loss,
    [
        .. loss.GetType().GetProperties(BindingFlags.Instance | BindingFlags.Public)
            .Where(property => property.GetIndexParameters().Length == 0 && !ofEveryLoss.Contains(property.Name))
            .OrderBy(property => property.Name, StringComparer.Ordinal)
            .Select(property => (property.Name, property.GetValue(loss))),
    ]);

    /// <summary>By what a loss names.</summary>
    public static string Of(IPreferenceLoss loss, params IEnumerable<(string Name, object? Value)> numbers) =>
        $"{loss.GetType().Name}({string.Join(", ", numbers
            .Select(number => (number.Name, Text: Text(number.Value)))
            .Where(number => number.Text is not null)
            .Select(number => $"{number.Name}={number.Text}"))})";

    private static string? Text(object? value) => value switch
    {
        string text => text,
        bool or Enum => value.ToString(),
        IFormattable number when value.GetType().IsPrimitive => number.ToString(null, CultureInfo.InvariantCulture),
        IPreferenceLoss loss => loss.Description,
        FDivergence divergence => Probed(divergence),
        ITuple tuple =>
            TextOf(Enumerable.Range(0, tuple.Length).Select(index => tuple[index])) is { } items ? $"({items})" : null,
        IEnumerable values => TextOf(values.Cast<object?>()) is { } items ? $"[{items}]" : null,
        _ => null,
    };

    private static string? TextOf(IEnumerable<object?> values) =>
        values.Select(Text).ToArray() is var texts && texts.All(text => text is not null) ? string.Join(", ", texts) : null;

    /// <summary>A divergence is a function: what it gives tells its parameters apart.</summary>
    private static string Probed(FDivergence divergence)
    {
        using var scope = NewDisposeScope();
        var scores = divergence.Score(tensor([-1f, 0.5f], device: CPU)).cpu().data<float>().ToArray();
        return string.Create(CultureInfo.InvariantCulture, $"{divergence.Name}({scores[0]:g6}, {scores[1]:g6})");
    }
}
