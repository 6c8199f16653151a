using System.Text.RegularExpressions;
using Dpo.Models.Layers;

namespace Dpo.Models.Lora;

/// <summary>Which linear layers of a model an adapter's options name, by PEFT's rules.</summary>
internal static class LoraTargets
{
    /// <summary>What a pattern out of a file may take for one name.</summary>
    private static readonly TimeSpan patternTimeout = TimeSpan.FromSeconds(1);

    /// <summary>The linear layers of the blocks, with their full names: all but the output head.</summary>
    public static List<(string Name, Projection Layer)> Candidates(TransformerModel model) => [.. model.named_modules()
        .Where(named => named.module is Projection && named.name != model.HeadName)
        .Select(named => (named.name, (Projection)named.module))];

    /// <summary>The layers that the options name.</summary>
    /// <exception cref="InvalidInputException">None is, or one of the names is no layer's.</exception>
    public static List<(string Name, Projection? Layer)> Find(TransformerModel model, LoraOptions options)
    {
        List<(string Name, Projection? Layer)> blocks = [.. Candidates(model)];
        List<(string Name, Projection? Layer)> candidates = [.. blocks, (model.HeadName, model.OwnHeadLayer)];
        if (options.TargetPattern is { } pattern)
        {
            var matches = Matcher("The target pattern", pattern);
            var matched = candidates.FindAll(layer => matches(layer.Name));
            return matched.Count > 0 ? matched : throw None($"The target pattern \"{pattern}\"");
        }
        if (options.TargetModules is [LoraOptions.AllLinear])
            return blocks;
        foreach (var target in options.TargetModules)
        {
            if (!candidates.Exists(layer => Names(target, layer.Name)))
                throw None($"The target module \"{target}\"");
        }
        return options.TargetModules.Count > 0
            ? candidates.FindAll(layer => options.TargetModules.Any(target => Names(target, layer.Name)))
            : throw None("An empty list of target modules");

        InvalidInputException None(string what) => new(
            $"{what} matches no linear layer that takes an adapter; the model's are " +
            $"{string.Join(", ", Ends(blocks.Select(layer => layer.Name)))}, and {model.HeadName}.");
    }

    /// <summary>The last parts of the layers' names, each once, sorted.</summary>
    public static IEnumerable<string> Ends(IEnumerable<string> layers) =>
        layers.Select(name => name[(name.LastIndexOf('.') + 1)..]).Distinct().Order(StringComparer.Ordinal);

    /// <summary>Whether a target is a layer's whole name, or its end behind a dot.</summary>
    public static bool Names(string target, string name) =>
        name == target || name.EndsWith("." + target, StringComparison.Ordinal);

    /// <summary>The value of the first pattern that matches a layer's whole name or its end behind a dot, by PEFT's rule; the
    /// fallback where none does.</summary>
    public static T FirstMatch<T>(IReadOnlyDictionary<string, T> patterns, string name, T fallback)
    {
        foreach (var (pattern, value) in patterns)
        {
            if (Matcher("The pattern", pattern, orEnd: true)(name))
                return value;
        }
        return fallback;
    }

    /// <summary>What tells whether the whole of a layer's name, or its end behind a dot as well, matches a pattern.</summary>
    private static Predicate<string> Matcher(string what, string pattern, bool orEnd = false)
    {
        try
        {
            var regex = new Regex(
                $@"\A{(orEnd ? @"(?:.*\.)?" : "")}(?:{pattern})\z", RegexOptions.CultureInvariant, patternTimeout);
            return name =>
            {
                try
                {
                    return regex.IsMatch(name);
                }
                catch (RegexMatchTimeoutException e)
                {
                    throw new InvalidInputException(
                        $"{what} \"{pattern}\" takes over a second to match \"{name}\"; give a simpler one.", e);
                }
            };
        }
        catch (ArgumentException e)
        {
            throw new InvalidInputException($"{what} \"{pattern}\" is no regular expression: {e.Message}", e);
        }
    }
}
