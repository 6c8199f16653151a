namespace Dpo.Data;

/// <summary>Thrown while one row is read; the message is the reason under which <see cref="DataReport"/> counts it.</summary>
internal sealed class BadRowException(string reason) : Exception(reason);
