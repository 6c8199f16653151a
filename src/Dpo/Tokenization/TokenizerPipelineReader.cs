using System.Text.Json;

namespace Dpo.Tokenization;

/// <summary>
/// Reads what <c>tokenizer.json</c> asks to be done to text before and after byte pair encoding. A step, a field or a value that
/// is not implemented is refused by name.
/// </summary>
internal sealed class TokenizerPipelineReader(TokenizerFolder folder)
{
    private const string File = TokenizerFolder.TokenizerJson;

    // Each passes over every text.
    private const int MostSteps = 32;

    public TokenizerPipeline Read(JsonElement root, JsonElement model)
    {
        RequireImplemented(root, model);
        var preTokenizer = Steps(root.Field("pre_tokenizer"), "pre_tokenizer", "pretokenizers");
        var byteLevel = preTokenizer.FindIndex(
            step => step.Step.Field("type") is { ValueKind: JsonValueKind.String } type && type.ValueEquals("ByteLevel"));
        if (byteLevel >= 0 && byteLevel < preTokenizer.Count - 1)
            throw folder.Error(
                File, $"{preTokenizer[byteLevel + 1].Path} comes after ByteLevel, which is implemented as the last step only");
        var fallback = Flag(model, "model", "byte_fallback", false);
        if (byteLevel < 0 && !fallback)
        {
            throw folder.Error(
                File,
                "pre_tokenizer has no ByteLevel and model.byte_fallback is not true, so not every text could be encoded; " +
                "implemented are tokenizers with either");
        }
        if (byteLevel >= 0 && fallback)
            throw folder.Error(File, "model.byte_fallback is true beside a ByteLevel pre_tokenizer, which is not implemented");
        return new TokenizerPipeline(
            Steps(root.Field("normalizer"), "normalizer", "normalizers").ConvertAll(step => Normalizer(step.Step, step.Path)),
            [.. preTokenizer.SelectMany(step => PreTokenizer(step.Step, step.Path))],
            Decoder(root.Field("decoder"), byteLevel >= 0),
            Flag(model, "model", "ignore_merges", false));
    }

    /// <summary>Refuses fields that are not known, and models of another kind.</summary>
    private void RequireImplemented(JsonElement root, JsonElement model)
    {
        RequireFields(
            root, "", "version", "truncation", "padding", "added_tokens", "normalizer", "pre_tokenizer", "post_processor",
            "decoder", "model");
        RequireFields(
            model, "model", "type", "dropout", "unk_token", "continuing_subword_prefix", "end_of_word_suffix", "fuse_unk",
            "byte_fallback", "ignore_merges", "vocab", "merges");
        // Early files do not name the type; merges are what only byte pair encoding has.
        if (!IsNull(model.Field("type")) && Text(model, "model", "type") is not "BPE")
            throw Unknown("model.type", model.Field("type"), "BPE");
        foreach (var name in new[] { "dropout", "continuing_subword_prefix", "end_of_word_suffix" })
        {
            // An empty prefix or suffix, or no dropout at all, changes nothing.
            var value = model.Field(name);
            if (!IsNull(value) && value.GetRawText() is not ("\"\"" or "0" or "0.0"))
                throw folder.Error(File, $"model.{name} is {value.Quote()}, which is not implemented");
        }
    }

    /// <summary>The steps that put special tokens around a text.</summary>
    public IReadOnlyList<(JsonElement Step, string Path)> PostProcessors(JsonElement root)
    {
        var steps = Steps(root.Field("post_processor"), "post_processor", "processors");
        foreach (var (step, path) in steps)
            Kind(step, path, "BertProcessing", "ByteLevel", "RobertaProcessing", "Sequence", "TemplateProcessing");
        return steps;
    }

    private NormalizerStep Normalizer(JsonElement step, string path)
    {
        switch (Kind(step, path, "NFC", "Prepend", "Replace", "Sequence"))
        {
            case "NFC":
                RequireFields(step, path, "type");
                return new NormalizerStep.Compose(Place(path));
            case "Prepend":
                RequireFields(step, path, "type", "prepend");
                return new NormalizerStep.Prepend(Place(path), Text(step, path, "prepend"));
            default:
                RequireFields(step, path, "type", "pattern", "content");
                return new NormalizerStep.Replace(Place(path), Literal(step, path), Text(step, path, "content"));
        }
    }

    private IEnumerable<PreTokenizerStep> PreTokenizer(JsonElement step, string path)
    {
        switch (Kind(step, path, "ByteLevel", "Digits", "Metaspace", "Sequence", "Split"))
        {
            case "ByteLevel":
                RequireFields(step, path, "type", "add_prefix_space", "trim_offsets", "use_regex");
                return ((PreTokenizerStep[])
                [
                    .. Flag(step, path, "add_prefix_space") ? [new PreTokenizerStep.PrefixSpace()] : (PreTokenizerStep[])[],
                    .. Flag(step, path, "use_regex", true) ? TokenizerPipeline.Gpt2.PreTokenizer : [],
                ]);
            case "Digits":
                RequireFields(step, path, "type", "individual_digits");
                var digits = SplitPatternParser.Parse(Flag(step, path, "individual_digits", false) ? @"\p{N}" : @"\p{N}+");
                return [new PreTokenizerStep.Split(digits, SplitBehavior.Isolated)];
            case "Metaspace":
                return Metaspace(step, path);
            default:
                RequireFields(step, path, "type", "pattern", "behavior", "invert");
                if (!Enum.TryParse<SplitBehavior>(Text(step, path, "behavior"), out var behavior) || !Enum.IsDefined(behavior))
                    throw Unknown($"{path}.behavior", step.Field("behavior"), Enum.GetNames<SplitBehavior>());
                return [new PreTokenizerStep.Split(Pattern(step, path), behavior, Flag(step, path, "invert", false))];
        }
    }

    private IEnumerable<PreTokenizerStep> Metaspace(JsonElement step, string path)
    {
        var (mark, scheme) = Mark(step, path);
        yield return new PreTokenizerStep.Metaspace(mark, scheme switch
        {
            "always" => place => place != TextPlace.Continuation,
            "first" => place => place == TextPlace.Beginning,
            _ => _ => false,
        });
        if (Flag(step, path, "split", true))
            yield return new PreTokenizerStep.Split(SplitPattern.Literal(mark.ToString()), SplitBehavior.MergedWithNext);
    }

    private (char Mark, string Scheme) Mark(JsonElement step, string path)
    {
        RequireFields(step, path, "type", "replacement", "str_rep", "add_prefix_space", "prepend_scheme", "split");
        var mark = Text(step, path, "replacement");
        if (mark.Length != 1)
            throw folder.Error(File, $"{path}.replacement is {step.Field("replacement").Quote()}, but it must be one character");
        var added = Flag(step, path, "add_prefix_space", true);
        if (IsNull(step.Field("prepend_scheme")))
            return (mark[0], added ? "always" : "never");
        var scheme = Text(step, path, "prepend_scheme");
        if (scheme is not ("always" or "first" or "never"))
            throw Unknown($"{path}.prepend_scheme", step.Field("prepend_scheme"), "always", "first", "never");
        if (!added && scheme != "never")
            throw folder.Error(File, $"{path}.prepend_scheme is \"{scheme}\", which contradicts add_prefix_space");
        return (mark[0], scheme);
    }

    private List<DecoderStep>? Decoder(JsonElement decoder, bool byteLevel)
    {
        if (byteLevel)
        {
            _ = Kind(decoder, "decoder", "ByteLevel");
            return null;
        }
        var steps = Steps(decoder, "decoder", "decoders");
        if (steps.Count == 0)
            throw folder.Error(File, $"decoder is {decoder.Quote()}, but it must say how tokens become text");
        return steps.ConvertAll(step => Decoder(step.Step, step.Path));
    }

    private DecoderStep Decoder(JsonElement step, string path)
    {
        switch (Kind(step, path, "ByteFallback", "Fuse", "Metaspace", "Replace", "Sequence", "Strip"))
        {
            case "ByteFallback":
                return new DecoderStep.ByteFallback(Place(path));
            case "Fuse":
                return new DecoderStep.Fuse(Place(path));
            case "Metaspace":
                var (mark, scheme) = Mark(step, path);
                return new DecoderStep.Metaspace(Place(path), mark, scheme != "never");
            case "Replace":
                RequireFields(step, path, "type", "pattern", "content");
                return new DecoderStep.Replace(Place(path), Literal(step, path), Text(step, path, "content"));
            default:
                RequireFields(step, path, "type", "content", "start", "stop");
                var content = Text(step, path, "content");
                if (content.Length != 1)
                    throw folder.Error(File, $"{path}.content is {step.Field("content").Quote()}, but it must be one character");
                return new DecoderStep.Strip(Place(path), content[0], Count(step, path, "start"), Count(step, path, "stop"));
        }
    }

    private SplitPattern Pattern(JsonElement step, string path)
    {
        var pattern = step.Field("pattern");
        if (IsNull(pattern.Field("Regex")))
        {
            var literal = Literal(step, path);
            return literal.Length <= SplitPattern.Longest
                ? SplitPattern.Literal(literal).At(Place($"{path}.pattern.String"))
                : throw folder.Error(
                    File, $"{path}.pattern.String has {literal.Length} characters; at most {SplitPattern.Longest} are taken");
        }
        RequireFields(pattern, $"{path}.pattern", "Regex");
        try
        {
            return SplitPatternParser.Parse(Text(pattern, $"{path}.pattern", "Regex")).At(Place($"{path}.pattern.Regex"));
        }
        catch (FormatException e)
        {
            throw folder.Error(File, $"{path}.pattern.Regex is no pattern that can be used: {e.Message}");
        }
    }

    /// <summary>The text that a pattern is.</summary>
    private string Literal(JsonElement step, string path)
    {
        var pattern = step.Field("pattern");
        if (pattern.ValueKind != JsonValueKind.Object || IsNull(pattern.Field("String")))
            throw folder.Error(File, $"{path}.pattern is {pattern.Quote()}, which is not implemented");
        RequireFields(pattern, $"{path}.pattern", "String");
        return Text(pattern, $"{path}.pattern", "String") is { Length: > 0 } text
            ? text
            : throw folder.Error(File, $"{path}.pattern.String is empty");
    }

    /// <summary>The steps of a sequence, or the one step that there is, or none.</summary>
    private List<(JsonElement Step, string Path)> Steps(JsonElement element, string path, string list)
    {
        if (IsNull(element))
            return [];
        if (element.ValueKind != JsonValueKind.Object)
            throw folder.Error(File, $"{path} is {element.Quote()}, but it must be of the kind Object");
        if (Text(element, path, "type") != "Sequence")
            return [(element, path)];
        RequireFields(element, path, "type", list);
        if (element.Field(list) is not { ValueKind: JsonValueKind.Array } steps)
            throw folder.Error(File, $"{path}.{list} is {element.Field(list).Quote()}, but it must be of the kind Array");
        List<(JsonElement, string)> all =
            [.. steps.EnumerateArray().SelectMany((step, index) => Steps(step, $"{path}.{list}[{index}]", list))];
        return all.Count <= MostSteps
            ? all
            : throw folder.Error(File, $"{path} has {all.Count} steps; at most {MostSteps} are taken");
    }

    /// <summary>A step's file and place, for messages that come later.</summary>
    private string Place(string path) => $"{Path.Combine(folder.Folder, File)}: {path}";

    private string Kind(JsonElement step, string path, params string[] implemented)
    {
        var kind = step.Field("type");
        return kind.ValueKind == JsonValueKind.String && implemented.Contains(kind.GetString())
            ? kind.GetString()!
            : throw Unknown(path + ".type", kind, implemented);
    }

    private void RequireFields(JsonElement parent, string path, params string[] known)
    {
        foreach (var field in parent.EnumerateObject())
        {
            if (!known.Contains(field.Name) && !IsNull(field.Value))
                throw folder.Error(
                    File, $"{(path.Length == 0 ? "" : path + ".")}{field.Name} is a field that is not implemented");
        }
    }

    private string Text(JsonElement parent, string path, string name) =>
        parent.Field(name) is { ValueKind: JsonValueKind.String } text
            ? text.GetString()!
            : throw folder.Error(File, $"{path}.{name} is {parent.Field(name).Quote()}, but it must be a text");

    private bool Flag(JsonElement parent, string path, string name, bool? fallback = null) => parent.Field(name) switch
    {
        { ValueKind: JsonValueKind.True } => true,
        { ValueKind: JsonValueKind.False } => false,
        var value when IsNull(value) && fallback is { } given => given,
        var value => throw folder.Error(File, $"{path}.{name} is {value.Quote()}, but it must be true or false"),
    };

    private int Count(JsonElement parent, string path, string name) => parent.Field(name).IsId(out var count)
        ? count
        : throw folder.Error(File, $"{path}.{name} is {parent.Field(name).Quote()}, but it must be a whole number from 0");

    private InvalidInputException Unknown(string field, JsonElement value, params string[] implemented)
    {
        var list = implemented is [_, .., var last]
            ? $"{string.Join(", ", implemented[..^1])} and {last} are"
            : $"only {implemented[0]} is";
        return folder.Error(File, $"{field} is {value.Quote()}, but {list} implemented");
    }

    private static bool IsNull(JsonElement value) => value.ValueKind is JsonValueKind.Undefined or JsonValueKind.Null;
}
