namespace Dpo.Samples;

/// <summary>A run failed though its input was good. The message says what failed and what is left of the run.</summary>
internal sealed class RunFailedException(string message, Exception? innerException) : Exception(message, innerException);
