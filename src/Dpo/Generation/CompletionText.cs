using System.Text;
using Dpo.Tokenization;

namespace Dpo.Generation;

/// <summary>The text of a completion while its tokens arrive: finds stop strings, and says what of it is certain.</summary>
/// <remarks>What a token stands for may depend on those before it, so some are decoded with it: those since the text was last
/// settled, by a token that ends a character, and those of the piece before, which keep it from being the beginning of a text. So
/// a token costs the same wherever it stands.</remarks>
/// <param name="tokenizer">What decodes the tokens.</param>
/// <param name="stopStrings">The stop strings, none empty.</param>
internal sealed class CompletionText(TextTokenizer tokenizer, IReadOnlyList<string> stopStrings)
{
    private const char Incomplete = '\uFFFD';

    private readonly int longestStop = stopStrings.Select(stop => stop.Length).DefaultIfEmpty(1).Max();
    private readonly StringBuilder text = new();
    private int given;

    /// <summary>Characters that can no longer change, and the tokens that they came from.</summary>
    private int settled, settledTokens;

    /// <summary>The token that decoding begins with, and the characters of what it gives that are settled already.</summary>
    private int from, known;

    private bool isSettled;

    /// <summary>The text so far, cut off where a stop string begins.</summary>
    public string Value => text.ToString();

    /// <summary>Whether a stop string was found.</summary>
    public bool IsStopped { get; private set; }

    /// <summary>Reads the completion after a further token, or after several.</summary>
    /// <param name="tokens">All its tokens.</param>
    public void Read(IReadOnlyList<int> tokens)
    {
        var decoded = tokenizer.Decode(tokens.Skip(from), skipSpecial: true);
        text.Length = settled;
        text.Append(decoded, known, decoded.Length - known);
        if (FindStop())
            return;
        isSettled = tokenizer.EndsPiece(tokens[^1]) && !decoded.EndsWith(Incomplete);
        if (isSettled && tokenizer.Decode(tokens.Skip(settledTokens), skipSpecial: true) is { Length: > 0 } piece)
            (from, known, settled, settledTokens) = (settledTokens, piece.Length, text.Length, tokens.Count);
    }

    /// <summary>What became certain since the last call.</summary>
    /// <param name="isOver">Whether no token will follow.</param>
    public string TakeCertain(bool isOver)
    {
        var certain = Math.Max(given, isOver || IsStopped ? text.Length : CertainLength());
        var piece = text.ToString(given, certain - given);
        given = certain;
        return piece;
    }

    /// <summary>Cuts the text off at the first stop string. One that lies before what is new was found before.</summary>
    private bool FindStop()
    {
        var first = Math.Max(0, settled - longestStop + 1);
        var changed = stopStrings.Count == 0 ? "" : text.ToString(first, text.Length - first);
        var places = stopStrings.Select(stop => changed.IndexOf(stop, StringComparison.Ordinal));
        int[] starts = [.. places.Where(start => start >= 0)];
        IsStopped = starts.Length > 0;
        if (IsStopped)
            text.Length = first + starts.Min();
        return IsStopped;
    }

    /// <summary>Up to where no token to come can change the text or make a stop string of its end.</summary>
    private int CertainLength()
    {
        var end = isSettled ? text.Length : settled;
        if (!isSettled && tokenizer.IsByteLevel)
        {
            // Only the bytes of an incomplete character are open.
            end = text.Length;
            while (end > given && text[end - 1] == Incomplete)
                end--;
        }
        var first = Math.Max(given, end - longestStop + 1);
        var tail = text.ToString(first, Math.Max(0, end - first)).AsSpan();
        for (var start = 0; start < tail.Length; start++)
        {
            foreach (var stop in stopStrings)
            {
                if (stop.AsSpan().StartsWith(tail[start..], StringComparison.Ordinal))
                    return first + start;
            }
        }
        return end;
    }
}
