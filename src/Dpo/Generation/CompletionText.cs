namespace Dpo;

/// <summary>The text of a completion while its tokens arrive: finds stop strings, and says what of it is certain.</summary>
/// <param name="tokenizer">What decodes the tokens.</param>
/// <param name="stopStrings">The stop strings, none empty.</param>
internal sealed class CompletionText(TextTokenizer tokenizer, IReadOnlyList<string> stopStrings)
{
    private const char Incomplete = '\uFFFD';

    private int given;

    /// <summary>The text so far, cut off where a stop string begins.</summary>
    public string Value { get; private set; } = "";

    /// <summary>Whether a stop string was found.</summary>
    public bool IsStopped { get; private set; }

    /// <summary>Reads the completion after a further token.</summary>
    /// <param name="tokens">All its tokens. They are decoded together, since what a token stands for may depend on those before.</param>
    public void Read(IReadOnlyList<int> tokens)
    {
        Value = tokenizer.Decode(tokens, skipSpecial: true);
        var starts = stopStrings.Select(stop => Value.IndexOf(stop, StringComparison.Ordinal)).Where(start => start >= 0).ToArray();
        if (starts.Length == 0)
            return;
        IsStopped = true;
        Value = Value[..starts.Min()];
    }

    /// <summary>What became certain since the last call.</summary>
    /// <param name="isOver">Whether no token will follow.</param>
    public string TakeCertain(bool isOver)
    {
        var certain = Math.Max(given, isOver || IsStopped ? Value.Length : CertainLength());
        var piece = Value[given..certain];
        given = certain;
        return piece;
    }

    /// <summary>Up to where no token to come can change the text or make a stop string of its end.</summary>
    private int CertainLength()
    {
        var text = Value.AsSpan().TrimEnd(Incomplete);
        for (var start = Math.Max(0, text.Length - stopStrings.Select(stop => stop.Length).DefaultIfEmpty(1).Max() + 1); start < text.Length; start++)
        {
            foreach (var stop in stopStrings)
            {
                if (stop.AsSpan().StartsWith(text[start..], StringComparison.Ordinal))
                    return start;
            }
        }
        return text.Length;
    }
}
