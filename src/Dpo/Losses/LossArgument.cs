namespace Dpo.Losses;

/// <summary>Ranges that arguments of several losses share.</summary>
internal static class LossArgument
{
    public static double Beta(double beta) => Above0(beta, "β", nameof(beta));

    public static double LabelSmoothing(double labelSmoothing) => labelSmoothing is >= 0 and < 0.5
        ? labelSmoothing
        : throw new ArgumentOutOfRangeException(nameof(labelSmoothing), labelSmoothing, "Label smoothing must lie in [0, 0.5).");

    public static double AtLeast0(double value, string symbol, string name) => value >= 0 && double.IsFinite(value)
        ? value
        : throw new ArgumentOutOfRangeException(name, value, $"{symbol} must be a number of at least 0.");

    public static double Above0(double value, string symbol, string name) => value > 0 && double.IsFinite(value)
        ? value
        : throw new ArgumentOutOfRangeException(name, value, $"{symbol} must be a number above 0.");
}
