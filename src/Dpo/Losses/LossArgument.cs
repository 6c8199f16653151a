namespace Dpo.Losses;

/// <summary>Ranges that arguments of several losses share.</summary>
internal static class LossArgument
{
    public static double Beta(double beta) => beta > 0 && double.IsFinite(beta)
        ? beta
        : throw new ArgumentOutOfRangeException(nameof(beta), beta, "β must be a number above 0.");

    public static double LabelSmoothing(double labelSmoothing) => labelSmoothing is >= 0 and < 0.5
        ? labelSmoothing
        : throw new ArgumentOutOfRangeException(nameof(labelSmoothing), labelSmoothing, "Label smoothing must lie in [0, 0.5).");
}
