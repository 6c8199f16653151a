using System.Globalization;

namespace Dpo.Training.Checkpointing;

/// <summary>What a run that is resumed does where a fact is another than when its checkpoint was written.</summary>
public enum OnChange
{
    /// <summary>Goes on, and logs it: the fact decides how long the run is or what it reports.</summary>
    Log,

    /// <summary>Goes on with a warning: the result may differ in its last bits.</summary>
    Warn,

    /// <summary>Goes on only where changed options are allowed (<c>TrainingOptions.ResumeWithChanges</c>): the fact decides the
    /// result.</summary>
    RefuseUnlessAllowed,

    /// <summary>Never goes on: the steps made so far have no meaning with another value.</summary>
    Refuse,
}

/// <summary>Something that a run was asked for or depends on; a checkpoint records it, so that a run cannot go on as another one
/// unseen.</summary>
/// <param name="Name">What people call it, once in a run; for an option its name.</param>
/// <param name="Value">Its value as text, the same on every machine: a number in the invariant culture, or a digest of what is
/// long.</param>
/// <param name="OnChange">What a change means.</param>
public sealed record RunFact(string Name, string Value, OnChange OnChange)
{
    private const int ShownDigits = 12;

    /// <summary>A fact of a number or the like.</summary>
    internal RunFact(string name, object value, OnChange onChange)
        : this(name, Convert.ToString(value, CultureInfo.InvariantCulture)!, onChange)
    {
    }

    /// <summary>Its value were the run to have so many steps, where it depends on them: it is compared over the steps that it was
    /// recorded for.</summary>
    internal Func<int, string>? ValueOver { get; init; }

    /// <summary>Whether what is best so far was measured on it.</summary>
    internal bool IsHeldOut { get; init; }

    /// <summary>The difference to another run's value, for a message.</summary>
    internal string Difference(string? old) => $"{Name} {Shown(old ?? "unknown")} then, {Shown(Value)} now";

    /// <summary>Hashes say as much by their beginnings.</summary>
    private static string Shown(string value) =>
        value.Length == 64 && value.All(char.IsAsciiHexDigitLower) ? value[..ShownDigits] + "…" : value;
}
