using System.Globalization;
using static TorchSharp.torch;

namespace Dpo;

/// <summary>The parameters that a run most likely broke at.</summary>
internal static class LargestWeights
{
    private const int Listed = 3;

    /// <summary>The names of a few parameters and the largest magnitude in each: those that are not finite first, then the
    /// largest.</summary>
    public static string Of(CausalLanguageModel model)
    {
        using var noGradients = no_grad();
        var magnitudes = model.named_parameters().Select(named =>
        {
            using var scope = NewDisposeScope();
            return (Name: named.name, Largest: named.parameter.abs().max().to(float64).item<double>());
        });
        return string.Join(", ", magnitudes
            .OrderByDescending(entry => double.IsFinite(entry.Largest) ? entry.Largest : double.PositiveInfinity)
            .Take(Listed)
            .Select(entry => string.Create(CultureInfo.InvariantCulture, $"{entry.Name} up to {entry.Largest:g4}")));
    }
}
