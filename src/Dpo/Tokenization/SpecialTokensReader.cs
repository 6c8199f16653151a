using System.Text.Json;

namespace Dpo;

/// <summary>Finds which tokens of a vocabulary the files of a model folder give a role.</summary>
internal sealed class SpecialTokensReader(
    TokenizerFolder folder, IReadOnlyDictionary<string, int> ids, IReadOnlyDictionary<int, string> tokens)
{
    private const string EndOfText = "eos_token";

    /// <summary>The id that the files name for a role, such as <c>eos_token</c>: by the token's text, or else by the model's
    /// configuration.</summary>
    public int? Find(string role)
    {
        foreach (var file in new[] { TokenizerFolder.TokenizerConfig, TokenizerFolder.SpecialTokensMap })
        {
            var value = (folder.Json(file) ?? default).Field(role);
            var content = value.ValueKind == JsonValueKind.Object ? value.Field("content") : value;
            // A tokenizer that says it has no such token has none, whatever a model's configuration carries along.
            if (content.ValueKind == JsonValueKind.Null && role != EndOfText)
                return null;
            if (content.ValueKind is JsonValueKind.Undefined or JsonValueKind.Null)
                continue;
            if (content.ValueKind != JsonValueKind.String || !ids.TryGetValue(content.GetString()!, out var id))
                throw folder.Error(file, $"{role} is {content.Quote()}, which is no token of the vocabulary");
            return id;
        }
        foreach (var file in new[] { TokenizerFolder.GenerationConfig, TokenizerFolder.Config })
        {
            if (Ids(file, role) is [var first, ..])
                return first;
        }
        return null;
    }

    /// <summary>Every id at which <c>generation_config.json</c>, or else <c>config.json</c>, has a model stop.</summary>
    public IReadOnlyList<int> StopIds() =>
        Ids(TokenizerFolder.GenerationConfig, EndOfText) is { Count: > 0 } stops ? stops : Ids(TokenizerFolder.Config, EndOfText);

    private List<int> Ids(string file, string role)
    {
        var value = (folder.Json(file) ?? default).Field(role + "_id");
        if (value.ValueKind is JsonValueKind.Undefined or JsonValueKind.Null)
            return [];
        var found = new List<int>();
        foreach (var entry in value.ValueKind == JsonValueKind.Array ? [.. value.EnumerateArray()] : (JsonElement[])[value])
        {
            if (!entry.IsId(out var id) || !tokens.ContainsKey(id))
                throw folder.Error(file, $"{role}_id is {value.Quote()}, which is no id of the vocabulary");
            found.Add(id);
        }
        return found;
    }
}
