using System.CommandLine;
using System.CommandLine.Parsing;
using System.Globalization;

namespace Dpo.Samples;

/// <summary>Options of a command line whose errors name the option, the value and what is asked for.</summary>
internal static class CliOption
{
    /// <summary>A whole number; null where it is not given.</summary>
    public static Option<int?> Whole(string name, string description, int minimum = 1) => Parsed<int?>(
        name, description, $"a whole number of at least {minimum}",
        text => int.TryParse(text, NumberStyles.AllowLeadingSign, CultureInfo.InvariantCulture, out var value) && value >= minimum
            ? value
            : null);

    /// <summary>A number above a bound, or from it where <paramref name="inclusive"/>; null where it is not given.</summary>
    public static Option<double?> Real(
        string name, string description, double minimum, bool inclusive = false, double below = double.PositiveInfinity)
    {
        var range = (double.IsNegativeInfinity(minimum) ? "a number"
                : inclusive ? $"a number of at least {minimum}" : $"a number above {minimum}")
            + (double.IsFinite(below) ? $" and below {below}" : "");
        return Parsed<double?>(name, description, range, text =>
            double.TryParse(text, NumberStyles.Float, CultureInfo.InvariantCulture, out var value)
            && (value > minimum || (inclusive && value == minimum)) && value < below ? value : null);
    }

    /// <summary>One of several names; the first is the default.</summary>
    public static Option<string> Choice(string name, string description, params string[] choices)
    {
        var names = string.Join("|", choices);
        var option = new Option<string>(name)
        {
            Description = description,
            HelpName = names,
            DefaultValueFactory = _ => choices[0]
        };
        option.Validators.Add(result =>
        {
            if (result.Tokens is [{ Value: var text }] && !choices.Contains(text))
                result.AddError($"{name} {text}: the value must be {(choices.Length > 1 ? $"one of {names}" : names)}");
        });
        return option;
    }

    /// <summary>The precision that a choice of <c>fp32</c> or <c>bf16</c> names.</summary>
    public static Precision ToPrecision(string? name) => name == "bf16" ? Precision.BFloat16 : Precision.Float32;

    /// <summary>Whether prompts begin with the beginning-of-text token.</summary>
    public static Option<string> Bos() => Choice(
        "--bos", "Whether prompts begin with the model's beginning-of-text token; auto: as its own tokenizer has it.",
        "auto", "on", "off");

    /// <summary>What a choice of <c>auto</c>, <c>on</c> or <c>off</c> asks for; null for the first.</summary>
    public static bool? ToBos(string? name, string? model) => (name, model) switch
    {
        ("on", null) => throw new InvalidInputException(
            "--bos on goes with --model: the model made here has no beginning-of-text token of its own."),
        ("on", _) => true,
        ("off", _) => false,
        _ => null,
    };

    /// <summary>A file or folder; null where it is not given.</summary>
    public static Option<string?> Path(string name, string helpName, string description) =>
        new(name) { Description = description, HelpName = helpName };

    /// <summary>Several values with commas between; null where it is not given.</summary>
    public static Option<string?> List(string name, string helpName, string description) =>
        new(name) { Description = description, HelpName = helpName };

    /// <summary>The numbers of a list.</summary>
    public static double[] Reals(string name, string text) =>
        [.. text.Split(',').Select(item => double.TryParse(item, NumberStyles.Float, CultureInfo.InvariantCulture, out var value)
            ? value
            : throw new InvalidInputException($"{name} {text}: the value must be numbers with commas between them."))];

    /// <summary>The names of columns: <c>prompt=question,chosen=good</c>; null where there are none.</summary>
    public static IReadOnlyDictionary<string, string>? Columns(string option, string? text)
    {
        if (text is null)
            return null;
        var columns = new Dictionary<string, string>();
        foreach (var item in text.Split(','))
        {
            var at = item.IndexOf('=', StringComparison.Ordinal);
            if (at < 1 || !columns.TryAdd(item[..at].Trim(), item[(at + 1)..].Trim()))
                throw new InvalidInputException(
                    $"{option} {text}: the value must be fields and their columns, each field once, such as " +
                    "prompt=question,chosen=good.");
        }
        return columns;
    }

    private static Option<T> Parsed<T>(string name, string description, string range, Func<string, T> parse) => new(name)
    {
        Description = description,
        HelpName = typeof(T) == typeof(int?) ? "N" : "X",
        CustomParser = result =>
            parse(result.Tokens[0].Value) is { } value ? value : Refuse<T>(result, name, result.Tokens[0].Value, range),
    };

    private static T Refuse<T>(ArgumentResult result, string option, string text, string expected)
    {
        result.AddError($"{option} {text}: the value must be {expected}");
        return default!;
    }
}
