using System.Collections;
using System.Globalization;
using System.Reflection;
using System.Runtime.CompilerServices;
using Dpo.Losses;
using static TorchSharp.torch;

namespace Dpo.Training;

/// <summary>A loss as a text that is equal where its type and numbers are: <c>DpoLoss(Beta=0.1, LabelSmoothing=0,
/// …)</c>.</summary>
internal static class LossDescription
{
    /// <summary>Describes a loss by the fields of its class, so that a user's own loss need not say anything. What is neither
    /// number, text, divergence nor loss is left out.</summary>
    public static string Of(IPreferenceLoss loss)
    {
        ArgumentNullException.ThrowIfNull(loss);
        var fields = loss.GetType()
            .GetFields(BindingFlags.Instance | BindingFlags.Public | BindingFlags.NonPublic | BindingFlags.DeclaredOnly)
            .Select(field => (Name: NameOf(field.Name), Text: Text(field.GetValue(loss))))
            .Where(field => field.Text is not null)
            .OrderBy(field => field.Name, StringComparer.Ordinal)
            .Select(field => $"{field.Name}={field.Text}");
        return $"{loss.GetType().Name}({string.Join(", ", fields)})";
    }

    private static string? Text(object? value) => value switch
    {
        string text => text,
        bool or Enum => value.ToString(),
        IFormattable number when value.GetType().IsPrimitive => number.ToString(null, CultureInfo.InvariantCulture),
        IPreferenceLoss loss => Of(loss),
        FDivergence divergence => Probed(divergence),
        ITuple tuple => $"({string.Join(", ", Enumerable.Range(0, tuple.Length).Select(index => Text(tuple[index])))})",
        IEnumerable items => $"[{string.Join(", ", items.Cast<object?>().Select(Text))}]",
        _ => null,
    };

    /// <summary>A divergence is a function: what it gives tells its parameters apart.</summary>
    private static string Probed(FDivergence divergence)
    {
        using var scope = NewDisposeScope();
        var scores = divergence.Score(tensor([-1f, 0.5f], device: CPU)).cpu().data<float>().ToArray();
        return string.Create(CultureInfo.InvariantCulture, $"{divergence.Name}({scores[0]:g6}, {scores[1]:g6})");
    }

    /// <summary>A property's or captured parameter's field is named <c>&lt;Beta&gt;k__BackingField</c> or
    /// <c>&lt;beta&gt;P</c>.</summary>
    private static string NameOf(string field) =>
        field.StartsWith('<') ? field[1..field.IndexOf('>', StringComparison.Ordinal)] : field;
}
