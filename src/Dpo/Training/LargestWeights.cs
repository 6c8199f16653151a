using System.Globalization;
using Dpo.Models;
using Dpo.Native;
using static TorchSharp.torch;

namespace Dpo.Training;

/// <summary>The parameters that a run most likely broke at.</summary>
internal static class LargestWeights
{
    private const int Listed = 3;

    /// <summary>The names of a few parameters and the largest magnitude in each: those that are not finite first, then the
    /// largest.</summary>
    public static string Of(CausalLanguageModel model)
    {
        using var noGradients = no_grad();
        using var scope = NewDisposeScope();
        var named = model.named_parameters();
        var largest = HostRead.Of([.. named.Select(weight => Largest(weight.parameter))]);
        var magnitudes = named.Zip(largest, (weight, magnitude) => (Name: weight.name, Largest: magnitude));
        return string.Join(", ", magnitudes
            .OrderByDescending(entry => double.IsFinite(entry.Largest) ? entry.Largest : double.PositiveInfinity)
            .Take(Listed)
            .Select(entry => string.Create(CultureInfo.InvariantCulture, $"{entry.Name} up to {entry.Largest:g4}")));
    }

    private static Tensor Largest(Tensor weight)
    {
        using var scope = NewDisposeScope();
        return weight.abs().max().MoveToOuterDisposeScope();
    }
}
