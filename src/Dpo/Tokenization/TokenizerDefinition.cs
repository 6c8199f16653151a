namespace Dpo;

/// <summary>What the tokenizer files of a model folder say.</summary>
/// <param name="Vocabulary">The ids of ordinary tokens, in byte-level spelling, special tokens left out.</param>
/// <param name="Merges">The pairs that byte pair encoding joins, the first ones first.</param>
/// <param name="AddedTokens">Tokens that are matched in the text as they stand, before byte pair encoding.</param>
/// <param name="EndOfTextId">The id that ends every completion.</param>
/// <param name="PadId">The id that fills up rows, where the files name one.</param>
internal sealed record TokenizerDefinition(
    IReadOnlyDictionary<string, int> Vocabulary,
    IReadOnlyList<(string Left, string Right)> Merges,
    IReadOnlyList<AddedToken> AddedTokens,
    int EndOfTextId,
    int? PadId);

/// <summary>A token that is matched as it stands. A special one stands for something that is no text, such as its end.</summary>
internal readonly record struct AddedToken(string Content, int Id, bool Special);
