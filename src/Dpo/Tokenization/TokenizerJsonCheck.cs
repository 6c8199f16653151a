using System.Text.Json;

namespace Dpo;

/// <summary>Refuses a <c>tokenizer.json</c> that asks for anything but byte-level BPE as GPT-2 has it.</summary>
/// <remarks>A post-processor is left aside on purpose: it puts special tokens around a text, which is decided
/// elsewhere.</remarks>
internal sealed class TokenizerJsonCheck(TokenizerFolder folder)
{
    public void RequireByteLevel(JsonElement root)
    {
        var model = Require(root, "", "model", JsonValueKind.Object);
        RequireText(model, "model.", "type", "BPE");
        RequireOneOf(root, "", "normalizer", JsonValueKind.Undefined, JsonValueKind.Null);
        foreach (var name in new[] { "dropout", "continuing_subword_prefix", "end_of_word_suffix" })
            RequireOneOf(model, "model.", name, JsonValueKind.Undefined, JsonValueKind.Null);
        foreach (var name in new[] { "byte_fallback", "ignore_merges" })
            RequireOneOf(model, "model.", name, JsonValueKind.Undefined, JsonValueKind.Null, JsonValueKind.False);
        var preTokenizer = Require(root, "", "pre_tokenizer", JsonValueKind.Object);
        RequireText(preTokenizer, "pre_tokenizer.", "type", "ByteLevel");
        RequireOneOf(preTokenizer, "pre_tokenizer.", "add_prefix_space", JsonValueKind.False);
        RequireOneOf(preTokenizer, "pre_tokenizer.", "use_regex", JsonValueKind.Undefined, JsonValueKind.True);
        RequireText(Require(root, "", "decoder", JsonValueKind.Object), "decoder.", "type", "ByteLevel");
    }

    /// <summary>The field, if it is of this kind.</summary>
    public JsonElement Require(JsonElement parent, string path, string name, JsonValueKind kind)
    {
        var value = parent.Field(name);
        if (value.ValueKind == kind)
            return value;
        throw folder.Error(
            TokenizerFolder.TokenizerJson, $"{path}{name} is {value.Quote()}, but it must be of the kind {kind}");
    }

    private void RequireText(JsonElement parent, string path, string name, string expected)
    {
        var value = parent.Field(name);
        if (value.ValueKind != JsonValueKind.String || value.GetString() != expected)
            throw Refuse(path + name, value);
    }

    // An empty prefix or suffix changes nothing.
    private void RequireOneOf(JsonElement parent, string path, string name, params JsonValueKind[] kinds)
    {
        var value = parent.Field(name);
        if (!kinds.Contains(value.ValueKind) && !(value.ValueKind == JsonValueKind.String && value.GetString() == ""))
            throw Refuse(path + name, value);
    }

    private InvalidInputException Refuse(string field, JsonElement value) => folder.Error(
        TokenizerFolder.TokenizerJson, $"{field} is {value.Quote()}, but only byte-level BPE as GPT-2 has it is implemented");
}
