using System.Runtime.ExceptionServices;

namespace Dpo;

/// <summary>
/// Keeps what failed inside a custom backward pass. An exception that left it would cross native code and end the process, so
/// the pass answers without gradients, and whoever called <c>backward()</c> asks here afterwards.
/// </summary>
internal static class BackwardFailure
{
    private static ExceptionDispatchInfo? failure;

    /// <summary>Keeps an exception for <see cref="Rethrow"/>.</summary>
    public static void Keep(Exception exception) => failure = ExceptionDispatchInfo.Capture(exception);

    /// <summary>Throws what a backward pass failed with, if one did: its gradients are incomplete.</summary>
    public static void Rethrow() => Interlocked.Exchange(ref failure, null)?.Throw();
}
