using System.Runtime.CompilerServices;

namespace Dpo.Optimizers;

/// <summary>Refuses constants that no optimizer can work with.</summary>
internal static class OptimizerArgument
{
    /// <summary>A share of an average that a step keeps.</summary>
    public static void RequireShare(double value, [CallerArgumentExpression(nameof(value))] string? name = null)
    {
        if (!(value is >= 0 and < 1))
            throw new ArgumentOutOfRangeException(
                name, value, $"{name} is the share of an average that a step keeps: from 0 up to, not including, 1.");
    }

    /// <summary>What is added to a root before something is divided by it.</summary>
    public static void RequirePositive(double value, [CallerArgumentExpression(nameof(value))] string? name = null)
    {
        if (!(value > 0 && double.IsFinite(value)))
            throw new ArgumentOutOfRangeException(
                name, value, $"{name} keeps a division from one by 0: it must be a finite number above 0.");
    }
}
