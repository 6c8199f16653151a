using System.Globalization;
using Dpo.Files;

namespace Dpo.Tokenization;

/// <summary>What a tokenizer is known by where its ids are kept.</summary>
/// <param name="Name">The folder it was loaded from, for people.</param>
/// <param name="Digest">SHA-256 of its tokens with their ids, its merges, and the ids that begin a prompt and end a text, however
/// its files are written down.</param>
internal sealed record TokenizerIdentity(string Name, string Digest)
{
    /// <summary>The identity of what a tokenizer's files say, and of what prompts begin with.</summary>
    public static TokenizerIdentity Of(string name, TokenizerDefinition definition, IReadOnlyList<int> beginningIds)
    {
        using var digest = new Digest();
        void Append(params ReadOnlySpan<string> texts)
        {
            foreach (var text in texts)
                digest.Append(text);
        }
        static string Text(int id) => id.ToString(CultureInfo.InvariantCulture);
        var vocabulary = definition.Vocabulary.OrderBy(entry => entry.Value).ThenBy(entry => entry.Key, StringComparer.Ordinal);
        foreach (var (token, id) in vocabulary)
            Append(Text(id), token);
        Append("merges");
        foreach (var (left, right) in definition.Merges)
            Append(left, right);
        Append("added");
        foreach (var token in definition.AddedTokens.OrderBy(token => token.Id))
            Append(Text(token.Id), token.Content, token.Special ? "special" : "ordinary");
        Append("end", Text(definition.EndOfTextId));
        Append("beginning", string.Join(' ', beginningIds.Select(Text)));
        return new TokenizerIdentity(name, digest.EndAsText());
    }
}
