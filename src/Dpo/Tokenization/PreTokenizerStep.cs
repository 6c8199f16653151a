namespace Dpo.Tokenization;

/// <summary>What becomes of the matches of a cut, under Hugging Face's names.</summary>
internal enum SplitBehavior
{
    /// <summary>Matches and what lies between them are words of their own.</summary>
    Isolated,

    /// <summary>Matches are left out.</summary>
    Removed,

    /// <summary>A match belongs to the word before it.</summary>
    MergedWithPrevious,

    /// <summary>A match belongs to the word after it.</summary>
    MergedWithNext,

    /// <summary>Matches that follow each other are one word.</summary>
    Contiguous,
}

/// <summary>A step of cutting text into words, which byte pair encoding never merges across.</summary>
internal abstract record PreTokenizerStep
{
    /// <summary>Cuts one stretch of text.</summary>
    public abstract IEnumerable<ReadOnlyMemory<char>> Apply(ReadOnlyMemory<char> text, TextPlace place);

    /// <summary>Cuts at the matches of a pattern.</summary>
    /// <param name="Pattern">What to look for.</param>
    /// <param name="Behavior">What becomes of the matches.</param>
    /// <param name="Invert">Whether what lies between the matches counts as match, and the matches do not.</param>
    internal sealed record Split(SplitPattern Pattern, SplitBehavior Behavior, bool Invert = false) : PreTokenizerStep
    {
        public override IEnumerable<ReadOnlyMemory<char>> Apply(ReadOnlyMemory<char> text, TextPlace place)
        {
            var cuts = Pattern.Cut(text);
            if (Behavior == SplitBehavior.Isolated)
                return cuts.Select(cut => text[cut.Start..cut.End]);
            if (Behavior == SplitBehavior.Removed)
                return cuts.Where(cut => cut.IsMatch == Invert).Select(cut => text[cut.Start..cut.End]);
            return Merge([.. cuts]).Select(range => text[range]);
        }

        private List<Range> Merge((int Start, int End, bool IsMatch)[] cuts)
        {
            var words = new List<Range>();
            if (Behavior == SplitBehavior.MergedWithNext)
                Array.Reverse(cuts);
            bool? before = null;
            foreach (var (start, end, found) in cuts)
            {
                var isMatch = found != Invert;
                var joins = Behavior == SplitBehavior.Contiguous ? isMatch == before : isMatch && before == false;
                if (!joins)
                    words.Add(start..end);
                else if (Behavior == SplitBehavior.MergedWithNext)
                    words[^1] = start..words[^1].End;
                else
                    words[^1] = words[^1].Start..end;
                before = isMatch;
            }
            if (Behavior == SplitBehavior.MergedWithNext)
                words.Reverse();
            return words;
        }
    }

    /// <summary>Puts a space in front of a word that has none.</summary>
    internal sealed record PrefixSpace : PreTokenizerStep
    {
        public override IEnumerable<ReadOnlyMemory<char>> Apply(ReadOnlyMemory<char> text, TextPlace place) =>
            [place == TextPlace.Continuation || text.Span.StartsWith(" ") ? text : $" {text}".AsMemory()];
    }

    /// <summary>SentencePiece's words: spaces become a visible mark, which is put in front of the text too.</summary>
    /// <param name="Mark">The mark, U+2581 (▁).</param>
    /// <param name="Prepend">Whether a stretch of text at this place gets the mark where it does not begin with one.</param>
    internal sealed record Metaspace(char Mark, Func<TextPlace, bool> Prepend) : PreTokenizerStep
    {
        public override IEnumerable<ReadOnlyMemory<char>> Apply(ReadOnlyMemory<char> text, TextPlace place)
        {
            var marked = text.ToString().Replace(' ', Mark);
            return [(Prepend(place) && !marked.StartsWith(Mark) ? Mark + marked : marked).AsMemory()];
        }
    }
}
