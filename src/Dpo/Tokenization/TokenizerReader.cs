using System.Text;
using System.Text.Json;

namespace Dpo;

/// <summary>
/// Reads a byte-level BPE tokenizer from <c>tokenizer.json</c>, or from GPT-2's older <c>vocab.json</c> and
/// <c>merges.txt</c>. Whatever is not implemented is refused by name, because ids that differ a little train a model
/// on another language.
/// </summary>
internal sealed class TokenizerReader
{
    private const string EndOfText = "<|endoftext|>";

    private readonly TokenizerFolder _folder;
    private readonly Dictionary<string, int> _ids = new(StringComparer.Ordinal);
    private readonly Dictionary<int, string> _tokens = [];

    private TokenizerReader(TokenizerFolder folder) => _folder = folder;

    public static TokenizerDefinition Read(TokenizerFolder folder)
    {
        var reader = new TokenizerReader(folder);
        try
        {
            if (folder.Has(TokenizerFolder.TokenizerJson))
                return reader.ReadTokenizerJson();
            if (folder.Has(TokenizerFolder.VocabJson) && folder.Has(TokenizerFolder.MergesText))
                return reader.ReadVocabAndMerges();
        }
        // What System.Text.Json says of a string with half a surrogate pair.
        catch (InvalidOperationException e)
        {
            throw folder.Error("", $"a tokenizer file holds text that is not valid Unicode ({e.Message})");
        }
        throw folder.Error("", "holds no tokenizer; it must have tokenizer.json, or vocab.json and merges.txt");
    }

    private TokenizerDefinition ReadTokenizerJson()
    {
        const string file = TokenizerFolder.TokenizerJson;
        var root = _folder.Json(file)!.Value;
        var model = Require(root, "model", JsonValueKind.Object);
        RequireByteLevel(root, model);
        AddVocabulary(file, "model.vocab", Require(model, "vocab", JsonValueKind.Object));
        var added = ReadAddedTokens(root);
        var merges = Require(model, "merges", JsonValueKind.Array).EnumerateArray().Select(ReadMerge).ToList();
        return Define(file, added, merges, fallBack: null);
    }

    private TokenizerDefinition ReadVocabAndMerges()
    {
        if (_folder.Has(TokenizerFolder.AddedTokens))
            throw _folder.Error(TokenizerFolder.AddedTokens, "is not read; save the tokenizer as tokenizer.json, which holds added tokens too");
        AddVocabulary(TokenizerFolder.VocabJson, "the vocabulary", _folder.Json(TokenizerFolder.VocabJson)!.Value);
        var lines = Encoding.UTF8.GetString(_folder.Bytes(TokenizerFolder.MergesText)).Split('\n');
        var merges = new List<(string, string, string)>();
        for (var i = 0; i < lines.Length; i++)
        {
            var line = lines[i].TrimEnd('\r');
            if (line.Length == 0 || (i == 0 && line.StartsWith("#version", StringComparison.Ordinal)))
                continue;
            merges.Add(SplitMerge(TokenizerFolder.MergesText, $"line {i + 1}", line.Split(' ')));
        }
        return Define(TokenizerFolder.MergesText, [], merges, fallBack: EndOfText);
    }

    private TokenizerDefinition Define(
        string mergesFile, Dictionary<string, AddedToken> added, List<(string Left, string Right, string Place)> merges, string? fallBack)
    {
        var endOfText = FindSpecial("eos_token") ?? (fallBack is not null && _ids.TryGetValue(fallBack, out var id) ? id : default(int?))
            ?? throw _folder.Error(TokenizerFolder.TokenizerConfig, "eos_token is missing; name the token that ends a text");
        var pad = FindSpecial("pad_token");
        foreach (var special in new[] { endOfText, pad, FindSpecial("bos_token"), FindSpecial("unk_token") }.OfType<int>())
            added[_tokens[special]] = new AddedToken(_tokens[special], special, Special: true);

        var specials = added.Values.Where(token => token.Special).Select(token => token.Content).ToHashSet();
        var ordinary = _ids.Where(token => !specials.Contains(token.Key)).ToDictionary(StringComparer.Ordinal);
        foreach (var character in ByteLevel.Characters)
        {
            if (!ordinary.ContainsKey(character.ToString()))
                throw _folder.Error(mergesFile, $"the vocabulary has no ordinary token '{character}', so the byte it spells could not be encoded");
        }
        var seen = new HashSet<(string, string)>();
        foreach (var (left, right, place) in merges)
        {
            foreach (var part in new[] { left, right, left + right })
            {
                if (!ordinary.ContainsKey(part))
                    throw _folder.Error(mergesFile, $"{place} merges '{left}' and '{right}', but '{part}' is no ordinary token of the vocabulary");
            }
            if (!seen.Add((left, right)))
                throw _folder.Error(mergesFile, $"{place} repeats the merge of '{left}' and '{right}'");
        }
        return new TokenizerDefinition(ordinary, merges.ConvertAll(m => (m.Left, m.Right)), [.. added.Values], endOfText, pad);
    }

    private void RequireByteLevel(JsonElement root, JsonElement model)
    {
        const string only = "only byte-level BPE as GPT-2 has it is implemented";
        void Refuse(string field, JsonElement value) =>
            throw _folder.Error(TokenizerFolder.TokenizerJson, $"{field} is {Shorten(value)}, but {only}");
        void RequireText(JsonElement parent, string path, string name, string expected)
        {
            var value = Get(parent, name);
            if (value.ValueKind != JsonValueKind.String || value.GetString() != expected)
                Refuse(path + name, value);
        }
        void RequireOneOf(JsonElement parent, string path, string name, params JsonValueKind[] kinds)
        {
            var value = Get(parent, name);
            if (!kinds.Contains(value.ValueKind) && !(value.ValueKind == JsonValueKind.String && value.GetString() == ""))
                Refuse(path + name, value);
        }

        RequireText(model, "model.", "type", "BPE");
        RequireOneOf(root, "", "normalizer", JsonValueKind.Undefined, JsonValueKind.Null);
        foreach (var name in new[] { "dropout", "continuing_subword_prefix", "end_of_word_suffix" })
            RequireOneOf(model, "model.", name, JsonValueKind.Undefined, JsonValueKind.Null);
        foreach (var name in new[] { "byte_fallback", "ignore_merges" })
            RequireOneOf(model, "model.", name, JsonValueKind.Undefined, JsonValueKind.Null, JsonValueKind.False);
        var preTokenizer = Require(root, "pre_tokenizer", JsonValueKind.Object);
        RequireText(preTokenizer, "pre_tokenizer.", "type", "ByteLevel");
        RequireOneOf(preTokenizer, "pre_tokenizer.", "add_prefix_space", JsonValueKind.False);
        RequireOneOf(preTokenizer, "pre_tokenizer.", "use_regex", JsonValueKind.Undefined, JsonValueKind.True);
        RequireText(Require(root, "decoder", JsonValueKind.Object), "decoder.", "type", "ByteLevel");
    }

    private void AddVocabulary(string file, string field, JsonElement vocabulary)
    {
        foreach (var entry in vocabulary.EnumerateObject())
        {
            if (entry.Value.ValueKind != JsonValueKind.Number || !entry.Value.TryGetInt32(out var id) || id is < 0 or int.MaxValue)
                throw _folder.Error(file, $"{field} gives '{entry.Name}' the id {Shorten(entry.Value)}, which is no whole number from 0");
            if (!_ids.TryAdd(entry.Name, id))
                throw _folder.Error(file, $"{field} has the token '{entry.Name}' twice");
            if (!_tokens.TryAdd(id, entry.Name))
                throw _folder.Error(file, $"{field} gives the id {id} to both '{_tokens[id]}' and '{entry.Name}'");
        }
    }

    private Dictionary<string, AddedToken> ReadAddedTokens(JsonElement root)
    {
        const string file = TokenizerFolder.TokenizerJson;
        var added = new Dictionary<string, AddedToken>(StringComparer.Ordinal);
        if (Get(root, "added_tokens") is not { ValueKind: JsonValueKind.Array } list)
            return added;
        foreach (var (index, entry) in list.EnumerateArray().Index())
        {
            var field = $"added_tokens[{index}]";
            if (Get(entry, "content") is not { ValueKind: JsonValueKind.String } content || content.GetString() is not { Length: > 0 } text)
                throw _folder.Error(file, $"{field}.content is missing or no text");
            if (Get(entry, "id") is not { ValueKind: JsonValueKind.Number } number || !number.TryGetInt32(out var id) || id is < 0 or int.MaxValue)
                throw _folder.Error(file, $"{field}.id is missing or no whole number from 0");
            foreach (var flag in new[] { "single_word", "lstrip", "rstrip" })
            {
                if (Get(entry, flag).ValueKind == JsonValueKind.True)
                    throw _folder.Error(file, $"{field}.{flag} is true, which is not implemented");
            }
            if (_ids.TryGetValue(text, out var known) ? known != id : !_tokens.TryAdd(id, text))
                throw _folder.Error(file, $"{field} gives '{text}' the id {id}, which contradicts the vocabulary");
            _ids[text] = id;
            if (!added.TryAdd(text, new AddedToken(text, id, Get(entry, "special").ValueKind == JsonValueKind.True)))
                throw _folder.Error(file, $"{field} repeats the token '{text}'");
        }
        return added;
    }

    private (string Left, string Right, string Place) ReadMerge(JsonElement merge, int index)
    {
        var place = $"model.merges[{index}]";
        if (merge.ValueKind == JsonValueKind.String)
            return SplitMerge(TokenizerFolder.TokenizerJson, place, merge.GetString()!.Split(' '));
        if (merge.ValueKind == JsonValueKind.Array && merge.EnumerateArray().All(part => part.ValueKind == JsonValueKind.String))
            return SplitMerge(TokenizerFolder.TokenizerJson, place, [.. merge.EnumerateArray().Select(part => part.GetString()!)]);
        throw _folder.Error(TokenizerFolder.TokenizerJson, $"{place} is {Shorten(merge)}, which names no two tokens");
    }

    private (string Left, string Right, string Place) SplitMerge(string file, string place, string[] parts)
    {
        // The library takes merges as "left right", so a part must not hold a space; byte-level spelling has none.
        if (parts.Length != 2 || parts.Any(part => part.Length == 0 || part.Contains(' ')))
            throw _folder.Error(file, $"{place} is '{string.Join(' ', parts)}', which names no two tokens");
        return (parts[0], parts[1], place);
    }

    /// <summary>The id that the files name for a role: by the token's text, or else by the model's configuration.</summary>
    private int? FindSpecial(string role)
    {
        foreach (var file in new[] { TokenizerFolder.TokenizerConfig, TokenizerFolder.SpecialTokensMap })
        {
            var value = Get(_folder.Json(file) ?? default, role);
            var content = value.ValueKind == JsonValueKind.Object ? Get(value, "content") : value;
            if (content.ValueKind is JsonValueKind.Undefined or JsonValueKind.Null)
                continue;
            if (content.ValueKind != JsonValueKind.String || !_ids.TryGetValue(content.GetString()!, out var id))
                throw _folder.Error(file, $"{role} is {Shorten(content)}, which is no token of the vocabulary");
            return id;
        }
        foreach (var file in new[] { TokenizerFolder.GenerationConfig, TokenizerFolder.Config })
        {
            var value = Get(_folder.Json(file) ?? default, role + "_id");
            if (value.ValueKind == JsonValueKind.Array)
                value = value.EnumerateArray().FirstOrDefault();
            if (value.ValueKind is JsonValueKind.Undefined or JsonValueKind.Null)
                continue;
            if (value.ValueKind != JsonValueKind.Number || !value.TryGetInt32(out var id) || !_tokens.ContainsKey(id))
                throw _folder.Error(file, $"{role}_id is {Shorten(value)}, which is no id of the vocabulary");
            return id;
        }
        return null;
    }

    private JsonElement Require(JsonElement parent, string name, JsonValueKind kind)
    {
        var value = Get(parent, name);
        return value.ValueKind == kind
            ? value
            : throw _folder.Error(TokenizerFolder.TokenizerJson, $"{name} is {Shorten(value)}, but it must be of the kind {kind}");
    }

    private static JsonElement Get(JsonElement parent, string name) =>
        parent.ValueKind == JsonValueKind.Object && parent.TryGetProperty(name, out var value) ? value : default;

    private static string Shorten(JsonElement value)
    {
        if (value.ValueKind == JsonValueKind.Undefined)
            return "missing";
        var text = value.ValueKind == JsonValueKind.String ? $"\"{value.GetString()}\"" : value.GetRawText().ReplaceLineEndings(" ");
        return text.Length <= 60 ? text : text[..60] + "…";
    }
}
