namespace Dpo.Benchmarks;

/// <summary>What a process answered, or why it did not: the other rows of a table are measured all the same.</summary>
/// <param name="Value">The answer.</param>
/// <param name="Failure">Why there is none; null where there is one.</param>
internal sealed record Attempt<T>(T? Value, string? Failure)
{
    private const int LongestFailure = 300;

    /// <summary>Asks; a failure is told at once, whole, and kept in its beginning.</summary>
    public static Attempt<T> To(Func<T> ask)
    {
        try
        {
            return new Attempt<T>(ask(), null);
        }
        catch (InvalidInputException e)
        {
            Console.Error.WriteLine(e.Message);
            return new Attempt<T>(default, e.Message.Length > LongestFailure ? e.Message[..LongestFailure] : e.Message);
        }
    }
}
