using System.Text;
using System.Text.Json;

namespace Dpo.Tokenization;

/// <summary>
/// Reads a byte pair encoding tokenizer from <c>tokenizer.json</c>, or from GPT-2's older <c>vocab.json</c> and
/// <c>merges.txt</c>. Whatever is not implemented is refused by name, because ids that differ a little train a model
/// on another language.
/// </summary>
internal sealed class TokenizerReader
{
    private const string EndOfText = "<|endoftext|>";

    private readonly TokenizerFolder folder;
    private readonly Dictionary<string, int> ids = new(StringComparer.Ordinal);
    private readonly Dictionary<int, string> tokens = [];

    private TokenizerReader(TokenizerFolder folder) => this.folder = folder;

    public static TokenizerDefinition Read(TokenizerFolder folder)
    {
        var reader = new TokenizerReader(folder);
        if (folder.Has(TokenizerFolder.TokenizerJson))
            return reader.ReadTokenizerJson();
        if (folder.Has(TokenizerFolder.VocabJson) && folder.Has(TokenizerFolder.MergesText))
            return reader.ReadVocabAndMerges();
        throw folder.Error("", "holds no tokenizer; it must have tokenizer.json, or vocab.json and merges.txt");
    }

    private TokenizerDefinition ReadTokenizerJson()
    {
        const string file = TokenizerFolder.TokenizerJson;
        var root = folder.Json(file)!.Value;
        var model = Require(root, "", "model", JsonValueKind.Object);
        var reader = new TokenizerPipelineReader(folder);
        var (pipeline, postProcessors) = (reader.Read(root, model), reader.PostProcessors(root));
        AddVocabulary(file, "model.vocab", Require(model, "model.", "vocab", JsonValueKind.Object));
        var added = ReadAddedTokens(root);
        var merges = Require(model, "model.", "merges", JsonValueKind.Array).EnumerateArray().Select(ReadMerge).ToList();
        return Define(file, pipeline, added, merges, new PostProcessorReader(folder, ids, tokens).Leading(postProcessors));
    }

    private TokenizerDefinition ReadVocabAndMerges()
    {
        if (folder.Has(TokenizerFolder.AddedTokens))
        {
            throw folder.Error(
                TokenizerFolder.AddedTokens, "is not read; save the tokenizer as tokenizer.json, which holds added tokens too");
        }
        AddVocabulary(TokenizerFolder.VocabJson, "the vocabulary", folder.Json(TokenizerFolder.VocabJson)!.Value);
        var lines = Encoding.UTF8.GetString(folder.Bytes(TokenizerFolder.MergesText)).Split('\n');
        var merges = new List<(string, string, string)>();
        for (var i = 0; i < lines.Length; i++)
        {
            var line = lines[i].TrimEnd('\r');
            if (line.Length == 0 || (i == 0 && line.StartsWith("#version", StringComparison.Ordinal)))
                continue;
            merges.Add(SplitMerge(TokenizerFolder.MergesText, $"line {i + 1}", line.Split(' ')));
        }
        int? fallBack = ids.TryGetValue(EndOfText, out var id) ? id : null;
        return Define(TokenizerFolder.MergesText, TokenizerPipeline.Gpt2, [], merges, [], fallBack);
    }

    private TokenizerDefinition Define(
        string mergesFile,
        TokenizerPipeline pipeline,
        Dictionary<string, AddedToken> added,
        List<(string Left, string Right, string Place)> merges,
        IReadOnlyList<int> processed,
        int? fallBack = null)
    {
        var specials = new SpecialTokensReader(folder, ids, tokens);
        var endOfText = specials.Find("eos_token") ?? fallBack ?? throw specials.MissingEndOfText();
        var (beginning, pad) = (specials.Find("bos_token"), specials.Find("pad_token"));
        foreach (var token in added.Values.Where(token => !token.Special && specials.IsSpecial(token.Content)).ToArray())
            added[token.Content] = token with { Special = true };
        var beginningIds = specials.Beginning(beginning, processed);
        int?[] named = [endOfText, beginning, pad, specials.Find("unk_token")];
        foreach (var id in named.OfType<int>().Concat(beginningIds))
        {
            var token = added.GetValueOrDefault(tokens[id]) ?? new AddedToken(tokens[id], id, Special: true);
            added[token.Content] = token with { Special = true };
        }

        var special = added.Values.Where(token => token.Special).Select(token => token.Content).ToHashSet();
        var ordinary = ids.Where(token => !special.Contains(token.Key)).ToDictionary(StringComparer.Ordinal);
        RequireBytes(mergesFile, pipeline, ordinary);
        RequireMerges(mergesFile, ordinary, merges);
        return new TokenizerDefinition(
            ordinary, merges.ConvertAll(m => (m.Left, m.Right)), [.. added.Values], pipeline, endOfText,
            [.. specials.StopIds().Prepend(endOfText).Distinct()], beginning, beginningIds, pad);
    }

    /// <summary>Refuses a vocabulary that some text could not be encoded with.</summary>
    private void RequireBytes(string mergesFile, TokenizerPipeline pipeline, Dictionary<string, int> ordinary)
    {
        for (var b = 0; b < 256; b++)
        {
            // No UTF-8 has these bytes, and Pythia's vocabulary lacks them.
            if (b is 0xC0 or 0xC1 or >= 0xF5)
                continue;
            var spelling = pipeline.IsByteLevel ? ByteLevel.Characters[b].ToString() : ByteLevel.Fallback(b);
            if (ordinary.ContainsKey(spelling))
                continue;
            throw folder.Error(
                mergesFile, $"the vocabulary has no ordinary token '{spelling}', so the byte it spells could not be encoded");
        }
    }

    /// <summary>Refuses merges of what the vocabulary has no tokens for, and those that come twice.</summary>
    private void RequireMerges(
        string mergesFile, Dictionary<string, int> ordinary, List<(string Left, string Right, string Place)> merges)
    {
        var seen = new HashSet<(string, string)>();
        foreach (var (left, right, place) in merges)
        {
            foreach (var part in new[] { left, right, left + right })
            {
                if (ordinary.ContainsKey(part))
                    continue;
                throw folder.Error(
                    mergesFile, $"{place} merges '{left}' and '{right}', but '{part}' is no ordinary token of the vocabulary");
            }
            if (!seen.Add((left, right)))
                throw folder.Error(mergesFile, $"{place} repeats the merge of '{left}' and '{right}'");
        }
    }

    private void AddVocabulary(string file, string field, JsonElement vocabulary)
    {
        foreach (var entry in vocabulary.EnumerateObject())
        {
            if (!entry.Value.IsId(out var id))
            {
                throw folder.Error(
                    file, $"{field} gives '{entry.Name}' the id {entry.Value.Quote()}, which is no whole number from 0");
            }
            ids.Add(entry.Name, id);
            if (!tokens.TryAdd(id, entry.Name))
                throw folder.Error(file, $"{field} gives the id {id} to both '{tokens[id]}' and '{entry.Name}'");
        }
    }

    private Dictionary<string, AddedToken> ReadAddedTokens(JsonElement root)
    {
        const string file = TokenizerFolder.TokenizerJson;
        var added = new Dictionary<string, AddedToken>(StringComparer.Ordinal);
        var list = root.Field("added_tokens");
        if (list.ValueKind is JsonValueKind.Undefined or JsonValueKind.Null)
            return added;
        list = Require(root, "", "added_tokens", JsonValueKind.Array);
        foreach (var (index, entry) in list.EnumerateArray().Index())
        {
            var field = $"added_tokens[{index}]";
            bool Flag(string name) => entry.Field(name).ValueKind switch
            {
                JsonValueKind.True => true,
                JsonValueKind.False or JsonValueKind.Null or JsonValueKind.Undefined => false,
                _ => throw folder.Error(file, $"{field}.{name} is {entry.Field(name).Quote()}, but it must be true or false"),
            };
            var content = entry.Field("content");
            if (content.ValueKind != JsonValueKind.String || content.GetString() is not { Length: > 0 } text)
                throw folder.Error(file, $"{field}.content is missing or no text");
            if (!entry.Field("id").IsId(out var id))
                throw folder.Error(file, $"{field}.id is missing or no whole number from 0");
            // What a word is differs from one regular expression engine to the next.
            if (Flag("single_word"))
                throw folder.Error(file, $"{field}.single_word is true, which is not implemented");
            if (ids.TryGetValue(text, out var known) ? known != id : !tokens.TryAdd(id, text))
                throw folder.Error(file, $"{field} gives '{text}' the id {id}, which contradicts the vocabulary");
            ids[text] = id;
            if (!added.TryAdd(
                text, new AddedToken(text, id, Flag("special"), Flag("lstrip"), Flag("rstrip"), Flag("normalized"))))
                throw folder.Error(file, $"{field} repeats the token '{text}'");
        }
        return added;
    }

    private (string Left, string Right, string Place) ReadMerge(JsonElement merge, int index)
    {
        var place = $"model.merges[{index}]";
        const string file = TokenizerFolder.TokenizerJson;
        if (merge.ValueKind == JsonValueKind.String)
            return SplitMerge(file, place, merge.GetString()!.Split(' '));
        if (merge.ValueKind == JsonValueKind.Array && merge.EnumerateArray().All(part => part.ValueKind == JsonValueKind.String))
            return SplitMerge(file, place, [.. merge.EnumerateArray().Select(part => part.GetString()!)]);
        throw folder.Error(file, $"{place} is {merge.Quote()}, which names no two tokens");
    }

    private (string Left, string Right, string Place) SplitMerge(string file, string place, string[] parts)
    {
        // The library takes merges as "left right", so a part must not hold a space; byte-level spelling has none.
        if (parts.Length != 2 || parts.Any(part => part.Length == 0 || part.Contains(' ')))
            throw folder.Error(file, $"{place} is '{string.Join(' ', parts)}', which names no two tokens");
        return (parts[0], parts[1], place);
    }

    private JsonElement Require(JsonElement parent, string path, string name, JsonValueKind kind)
    {
        var value = parent.Field(name);
        return value.ValueKind == kind
            ? value
            : throw folder.Error(
                TokenizerFolder.TokenizerJson, $"{path}{name} is {value.Quote()}, but it must be of the kind {kind}");
    }
}
