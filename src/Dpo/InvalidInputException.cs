namespace Dpo;

/// <summary>
/// A file or a value that came from outside cannot be used. The message is one sentence that names the file, the line,
/// the field or the tensor, says what is wrong with it and what to do; programs print it and end with exit code 2.
/// </summary>
public sealed class InvalidInputException : Exception
{
    /// <summary>Creates the exception with a message for the person who supplied the input.</summary>
    public InvalidInputException(string message)
        : base(message)
    {
    }

    /// <summary>Creates the exception with a message and the failure underneath it.</summary>
    public InvalidInputException(string message, Exception innerException)
        : base(message, innerException)
    {
    }
}
