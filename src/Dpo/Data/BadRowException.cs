namespace Dpo.Data;

/// <summary>What the reading of one row throws where it cannot be trained on; the row is then skipped or refused, as
/// <see cref="BadRows"/> says.</summary>
/// <param name="reason">The reason under which <see cref="DataReport"/> counts the row: a few words that are the same for every
/// such row, such as "empty completion".</param>
public sealed class BadRowException(string reason) : Exception(reason);
