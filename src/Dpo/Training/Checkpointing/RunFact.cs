namespace Dpo.Training.Checkpointing;

/// <summary>What a run that is resumed does about a fact that is another than when its checkpoint was written.</summary>
internal enum Change
{
    /// <summary>Goes on, and says so: the fact decides how long the run is or what it reports.</summary>
    Told,

    /// <summary>Goes on with a warning: the result may differ in its last bits.</summary>
    Warned,

    /// <summary>Goes on where the user allows changed options: the fact decides the result.</summary>
    Allowed,

    /// <summary>Never goes on: the steps made so far have no meaning with another value.</summary>
    Refused,
}

/// <summary>Something that a run was asked for or depends on.</summary>
/// <param name="Name">What people call it; for an option its name.</param>
/// <param name="Value">Its value as text, the same on every machine.</param>
/// <param name="OnChange">What a change means.</param>
internal sealed record RunFact(string Name, string Value, Change OnChange)
{
    private const int ShownDigits = 12;

    /// <summary>The difference to another run's value, for a message.</summary>
    public string Difference(string? old) => $"{Name} {Shown(old ?? "unknown")} then, {Shown(Value)} now";

    /// <summary>Hashes say as much by their beginnings.</summary>
    private static string Shown(string value) =>
        value.Length == 64 && value.All(char.IsAsciiHexDigitLower) ? value[..ShownDigits] + "…" : value;
}
