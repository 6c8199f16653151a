using System.Runtime.ExceptionServices;

namespace Dpo.Native;

/// <summary>
/// What failed inside a backward pass of Dpo's, such as for want of memory. An exception that left it would cross native code and
/// end the process, so the pass answers with zeros. The trainers ask here; a loop of your own does so between
/// <c>backward()</c> and the optimizer's step.
/// </summary>
public static class BackwardFailure
{
    private static ExceptionDispatchInfo? failure;

    /// <summary>Keeps an exception for <see cref="Rethrow"/>: the first, of which those after it are mostly
    /// consequences.</summary>
    internal static void Keep(Exception exception) =>
        Interlocked.CompareExchange(ref failure, ExceptionDispatchInfo.Capture(exception), null);

    /// <summary>Throws what a backward pass failed with first since the last call, if one did: the gradients are incomplete, and
    /// are not to be applied.</summary>
    public static void Rethrow() => Interlocked.Exchange(ref failure, null)?.Throw();
}
