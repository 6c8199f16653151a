namespace Dpo.Tokenization;

/// <summary>
/// What is cut where a prompt with its completions is longer than a model should see. See
/// <see cref="ExampleTokenizer"/> for the exact rules.
/// </summary>
public enum Truncation
{
    /// <summary>The paper's rule for dialogues: an overlong prompt loses its beginning first.</summary>
    PaperKeepPromptEnd,

    /// <summary>The paper's rule elsewhere: an overlong prompt loses its end first.</summary>
    PaperKeepPromptStart,

    /// <summary>TRL's rule: the first tokens of prompt and completion are kept, whatever they are.</summary>
    KeepStart,

    /// <summary>Nothing: an example that is too long is dropped, and counted as "prompt too long" or "completion too
    /// long".</summary>
    Drop,
}
