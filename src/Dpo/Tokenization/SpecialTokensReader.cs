using System.Text.Json;

namespace Dpo.Tokenization;

/// <summary>Finds which tokens of a vocabulary the files of a model folder give a role.</summary>
internal sealed class SpecialTokensReader(
    TokenizerFolder folder, IReadOnlyDictionary<string, int> ids, IReadOnlyDictionary<int, string> tokens)
{
    private const string EndOfText = "eos_token";

    // A tokenizer's own files come first; a model's may carry another model's ids along.
    private readonly (string File, JsonElement Root)[] tokenizerFiles =
        Read(folder, TokenizerFolder.TokenizerConfig, TokenizerFolder.SpecialTokensMap);
    private readonly (string File, JsonElement Root)[] modelFiles =
        Read(folder, TokenizerFolder.GenerationConfig, TokenizerFolder.Config);

    private HashSet<string>? listed;

    /// <summary>The id that the files name for a role, such as <c>eos_token</c>: by the token's text, or else by the model's
    /// configuration. An id there that is outside the vocabulary is no token's.</summary>
    public int? Find(string role)
    {
        foreach (var (file, root) in tokenizerFiles)
        {
            var content = Content(root.Field(role));
            // A tokenizer that says it has no such token has none, whatever a model's configuration carries along.
            if (content.ValueKind == JsonValueKind.Null && role != EndOfText)
                return null;
            if (content.ValueKind is JsonValueKind.Undefined or JsonValueKind.Null)
                continue;
            if (content.ValueKind != JsonValueKind.String || !ids.TryGetValue(content.GetString()!, out var id))
                throw folder.Error(file, $"{role} is {content.Quote()}, which is no token of the vocabulary");
            return id;
        }
        return modelFiles.SelectMany(file => Ids(file, role)).Cast<int?>().FirstOrDefault();
    }

    /// <summary>The error for files that name no end of text.</summary>
    public InvalidInputException MissingEndOfText()
    {
        foreach (var (file, root) in modelFiles)
        {
            if (root.Field(EndOfText + "_id") is { ValueKind: not (JsonValueKind.Undefined or JsonValueKind.Null) } value)
                return folder.Error(file, $"{EndOfText}_id is {value.Quote()}, which is no id of the vocabulary");
        }
        return folder.Error(TokenizerFolder.TokenizerConfig, $"{EndOfText} is missing; name the token that ends a text");
    }

    /// <summary>Every id at which <c>generation_config.json</c>, or else <c>config.json</c>, has a model stop.</summary>
    public IReadOnlyList<int> StopIds() =>
        modelFiles.Select(file => Ids(file, EndOfText)).FirstOrDefault(stops => stops.Count > 0) ?? [];

    /// <summary>What is put in front of a text: as <c>add_bos_token</c> says, or else the post-processor.</summary>
    /// <param name="beginning">The beginning-of-text token, where there is one.</param>
    /// <param name="processed">What the post-processor puts there.</param>
    public IReadOnlyList<int> Beginning(int? beginning, IReadOnlyList<int> processed)
    {
        const string field = "add_bos_token";
        var (file, root) = tokenizerFiles[0];
        return root.Field(field) switch
        {
            { ValueKind: JsonValueKind.False } => [],
            { ValueKind: JsonValueKind.True } when processed.Count == 0 => beginning is { } id
                ? [id]
                : throw folder.Error(
                    file, $"{field} is true, but no file names a bos_token of the vocabulary; name one, or take {field} out"),
            { ValueKind: JsonValueKind.True or JsonValueKind.Undefined or JsonValueKind.Null } => processed,
            var value => throw folder.Error(file, $"{field} is {value.Quote()}, but it must be true or false"),
        };
    }

    /// <summary>Whether an added token is special though its own flag does not say so: the tokenizer's other files list it, or it
    /// is spelled as what marks the turns of a chat (<c>&lt;|im_start|&gt;</c>), which nobody's text may open or close.</summary>
    public bool IsSpecial(string token) =>
        (token.StartsWith("<|", StringComparison.Ordinal) && token.EndsWith("|>", StringComparison.Ordinal))
        || (token.StartsWith("<\uFF5C", StringComparison.Ordinal) && token.EndsWith("\uFF5C>", StringComparison.Ordinal))
        || (listed ??= [.. tokenizerFiles.SelectMany(file => Listed(file.Root))]).Contains(token);

    private static IEnumerable<string> Listed(JsonElement root)
    {
        var tokens = new List<JsonElement>();
        if (root.Field("additional_special_tokens") is { ValueKind: JsonValueKind.Array } more)
            tokens.AddRange(more.EnumerateArray());
        if (root.Field("added_tokens_decoder") is { ValueKind: JsonValueKind.Object } decoder)
        {
            var added = decoder.EnumerateObject().Select(token => token.Value);
            tokens.AddRange(added.Where(token => token.Field("special").ValueKind == JsonValueKind.True));
        }
        return tokens.Select(Content).Where(token => token.ValueKind == JsonValueKind.String).Select(token => token.GetString()!);
    }

    private static (string, JsonElement)[] Read(TokenizerFolder folder, params string[] files) =>
        [.. files.Select(file => (file, folder.Json(file) ?? default))];

    /// <summary>A token's text, which files give as it is or as a field of an object.</summary>
    private static JsonElement Content(JsonElement value) =>
        value.ValueKind == JsonValueKind.Object ? value.Field("content") : value;

    private List<int> Ids((string Name, JsonElement Root) file, string role)
    {
        var value = file.Root.Field(role + "_id");
        if (value.ValueKind is JsonValueKind.Undefined or JsonValueKind.Null)
            return [];
        var found = new List<int>();
        foreach (var entry in value.ValueKind == JsonValueKind.Array ? [.. value.EnumerateArray()] : (JsonElement[])[value])
        {
            if (entry.ValueKind != JsonValueKind.Number)
                throw folder.Error(file.Name, $"{role}_id is {value.Quote()}, which is no id of the vocabulary");
            if (entry.IsId(out var id) && tokens.ContainsKey(id))
                found.Add(id);
        }
        return found;
    }
}
