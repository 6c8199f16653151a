namespace Dpo.Tokenization;

/// <summary>What the tokenizer files of a model folder say.</summary>
/// <param name="Vocabulary">The ids of ordinary tokens, as the files spell them, special tokens left out.</param>
/// <param name="Merges">The pairs that byte pair encoding joins, the first ones first.</param>
/// <param name="AddedTokens">Tokens that are matched in the text as they stand, before byte pair encoding.</param>
/// <param name="Pipeline">What happens to text before and after byte pair encoding.</param>
/// <param name="EndOfTextId">The id that ends every completion.</param>
/// <param name="StopIds">The ids that end what a model writes, the end of text first.</param>
/// <param name="BeginningOfTextId">The id in front of a text, where the files name one.</param>
/// <param name="BeginningIds">What the files ask to be put in front of a text; none for GPT-2.</param>
/// <param name="PadId">The id that fills up rows, where the files name one.</param>
internal sealed record TokenizerDefinition(
    IReadOnlyDictionary<string, int> Vocabulary,
    IReadOnlyList<(string Left, string Right)> Merges,
    IReadOnlyList<AddedToken> AddedTokens,
    TokenizerPipeline Pipeline,
    int EndOfTextId,
    IReadOnlyList<int> StopIds,
    int? BeginningOfTextId,
    IReadOnlyList<int> BeginningIds,
    int? PadId);

/// <summary>What happens to text on its way to byte pair encoding, and to tokens on their way back.</summary>
/// <param name="Normalizer">Text to text.</param>
/// <param name="PreTokenizer">Text to words.</param>
/// <param name="Decoder">Tokens to text; null where tokens spell bytes (<see cref="ByteLevel"/>).</param>
/// <param name="IgnoreMerges">Whether a word that is a token is that token, whatever the merges make of it.</param>
internal sealed record TokenizerPipeline(
    IReadOnlyList<NormalizerStep> Normalizer,
    IReadOnlyList<PreTokenizerStep> PreTokenizer,
    IReadOnlyList<DecoderStep>? Decoder,
    bool IgnoreMerges)
{
    /// <summary>What the files from before <c>tokenizer.json</c> stand for.</summary>
    public static TokenizerPipeline Gpt2 { get; } =
        new(
            [], [new PreTokenizerStep.Split(SplitPatternParser.Parse(SplitPattern.Gpt2), SplitBehavior.Isolated)], Decoder: null,
            IgnoreMerges: false);

    /// <summary>Whether text is encoded as the bytes of its UTF-8, spelled as GPT-2 spells them; else characters that the
    /// vocabulary lacks are spelled <c>&lt;0xE2&gt;</c>.</summary>
    public bool IsByteLevel => Decoder is null;

    /// <summary>Whether the decoder makes the same text of tokens whatever follows: once they are one text, nothing longer than a
    /// character is looked for in it.</summary>
    public bool DecodesPiecewise { get; } = Decoder?.SkipWhile(step => step is not DecoderStep.Fuse)
        .All(step =>
            step is DecoderStep.Fuse or DecoderStep.Strip or DecoderStep.Metaspace
                or DecoderStep.Replace { Pattern.Length: 1 }) ?? true;

    public string Normalize(string text, TextPlace place)
    {
        var limit = TextGrowth.Limit(text.Length);
        foreach (var step in Normalizer)
        {
            TextGrowth.Check(step.LengthAfter(text), limit, step.Place);
            text = step.Apply(text, place);
        }
        return text;
    }

    /// <summary>The text of tokens, where they do not spell bytes.</summary>
    public string Decode(List<string> tokens)
    {
        var limit = TextGrowth.Limit(tokens.Sum(token => (long)token.Length));
        foreach (var step in Decoder!)
        {
            TextGrowth.Check(step.LengthAfter(tokens), limit, step.Place);
            tokens = step.Apply(tokens);
        }
        return string.Concat(tokens);
    }

    public IEnumerable<ReadOnlyMemory<char>> PreTokenize(string text, TextPlace place)
    {
        IEnumerable<ReadOnlyMemory<char>> words = [text.AsMemory()];
        foreach (var step in PreTokenizer)
            words = words.SelectMany((word, index) => step.Apply(word, index == 0 ? place : TextPlace.Inside));
        return words;
    }
}
