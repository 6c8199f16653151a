using System.Text.Json;
using static TorchSharp.torch;

namespace Dpo.Tests;

/// <summary>Numbers out of fixtures, and the project's way of comparing them.</summary>
internal static class Numbers
{
    public static JsonElement Json(params string[] parts) => JsonDocument.Parse(File.ReadAllText(Fixture.Path(parts))).RootElement;

    public static double[] Doubles(this JsonElement list) => [.. list.EnumerateArray().Select(value => value.GetDouble())];

    public static int[] Ints(this JsonElement list) => [.. list.EnumerateArray().Select(value => value.GetInt32())];

    public static double[] ToDoubles(this Tensor tensor) => tensor.to(float64).cpu().contiguous().data<double>().ToArray();

    /// <summary>|a − b| ≤ tolerance · max(1, |b|), element by element.</summary>
    public static void AssertClose(IReadOnlyList<double> expected, IReadOnlyList<double> actual, double tolerance, string what = "")
    {
        Assert.Equal(expected.Count, actual.Count);
        for (var index = 0; index < expected.Count; index++)
            AssertClose(expected[index], actual[index], tolerance, $"{what}[{index}]");
    }

    public static void AssertClose(double expected, double actual, double tolerance, string what = "") =>
        Assert.True(
            Math.Abs(actual - expected) <= tolerance * Math.Max(1, Math.Abs(expected)),
            $"{what}: expected {expected:r}, got {actual:r}, tolerance {tolerance}");
}
