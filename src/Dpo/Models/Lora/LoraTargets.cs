using System.Text.RegularExpressions;
using static TorchSharp.torch;

namespace Dpo;

/// <summary>Which linear layers of a model an adapter's options name, by PEFT's rules.</summary>
internal static class LoraTargets
{
    /// <summary>What a pattern out of a file may take for one name.</summary>
    private static readonly TimeSpan patternTimeout = TimeSpan.FromSeconds(1);

    /// <summary>The linear layers that take an adapter, with their full names: all but the output head, which is computed in
    /// chunks from its weight.</summary>
    public static List<(string Name, Projection Layer)> Candidates(Transformer model)
    {
        using var scope = NewDisposeScope();
        var head = model.Head.Weight;
        return [.. model.named_modules()
            .Where(named => named.module is Projection layer && !ReferenceEquals(layer.Weight, head))
            .Select(named => (named.name, (Projection)named.module))];
    }

    /// <summary>The layers that the options name.</summary>
    /// <exception cref="InvalidInputException">None is, or one of the names is no layer's.</exception>
    public static List<(string Name, Projection Layer)> Find(Transformer model, LoraOptions options)
    {
        var candidates = Candidates(model);
        if (options.TargetPattern is { } pattern)
        {
            var matched = candidates.FindAll(Matcher(pattern));
            return matched.Count > 0 ? matched : throw None($"The target pattern \"{pattern}\"");
        }
        if (options.TargetModules is [LoraOptions.AllLinear])
            return candidates;
        foreach (var target in options.TargetModules)
        {
            if (!candidates.Exists(layer => Names(target, layer.Name)))
                throw None($"The target module \"{target}\"");
        }
        return options.TargetModules.Count > 0
            ? candidates.FindAll(layer => options.TargetModules.Any(target => Names(target, layer.Name)))
            : throw None("An empty list of target modules");

        InvalidInputException None(string what) => new(
            $"{what} matches no linear layer that takes an adapter; the model's are {string.Join(", ", Ends(candidates))}.");
    }

    /// <summary>The last parts of the layers' names, each once, sorted.</summary>
    public static IEnumerable<string> Ends(IEnumerable<(string Name, Projection Layer)> layers) =>
        layers.Select(layer => layer.Name[(layer.Name.LastIndexOf('.') + 1)..]).Distinct().Order(StringComparer.Ordinal);

    /// <summary>Whether a target is a layer's whole name, or its end behind a dot.</summary>
    public static bool Names(string target, string name) => name == target || name.EndsWith("." + target, StringComparison.Ordinal);

    private static Predicate<(string Name, Projection Layer)> Matcher(string pattern)
    {
        try
        {
            var regex = new Regex($@"\A(?:{pattern})\z", RegexOptions.CultureInvariant, patternTimeout);
            return layer =>
            {
                try
                {
                    return regex.IsMatch(layer.Name);
                }
                catch (RegexMatchTimeoutException e)
                {
                    throw new InvalidInputException($"The target pattern \"{pattern}\" takes over a second to match \"{layer.Name}\"; give a simpler one.", e);
                }
            };
        }
        catch (ArgumentException e)
        {
            throw new InvalidInputException($"The target pattern \"{pattern}\" is no regular expression: {e.Message}", e);
        }
    }
}
