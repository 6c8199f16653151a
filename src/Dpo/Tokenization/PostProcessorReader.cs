using System.Text.Json;

namespace Dpo.Tokenization;

/// <summary>Finds the special tokens that a post-processor of <c>tokenizer.json</c> puts in front of a text. What it puts behind
/// is left aside: completions end as <see cref="ExampleTokenizer"/> says.</summary>
internal sealed class PostProcessorReader(
    TokenizerFolder folder, IReadOnlyDictionary<string, int> ids, IReadOnlyDictionary<int, string> tokens)
{
    /// <summary>The ids, in the order in which they stand.</summary>
    /// <param name="steps">The post-processor's steps, each with its place in the file.</param>
    public IReadOnlyList<int> Leading(IEnumerable<(JsonElement Step, string Path)> steps) =>
        // A later step puts its tokens in front of an earlier one's.
        [.. steps.Reverse().SelectMany(step => step.Step.Field("type").GetString() switch
        {
            "TemplateProcessing" => Template(step.Step, step.Path),
            "BertProcessing" or "RobertaProcessing" => [Named(First(step.Step.Field("cls")), step.Path + ".cls")],
            _ => [],
        })];

    private IEnumerable<int> Template(JsonElement step, string path)
    {
        if (step.Field("single") is not { ValueKind: JsonValueKind.Array } single)
            throw Wrong(path + ".single", step.Field("single"), "must be of the kind Array");
        foreach (var (index, piece) in single.EnumerateArray().Index())
        {
            if (piece.Field("SpecialToken") is not { ValueKind: JsonValueKind.Object } special)
                yield break;
            var (name, place) = (special.Field("id"), $"{path}.single[{index}].SpecialToken.id");
            var token = name.ValueKind == JsonValueKind.String ? step.Field("special_tokens").Field(name.GetString()!) : default;
            if (token.Field("ids") is not { ValueKind: JsonValueKind.Array } several)
            {
                yield return Named(name, place);
                continue;
            }
            foreach (var id in several.EnumerateArray())
            {
                yield return id.IsId(out var known) && tokens.ContainsKey(known)
                    ? known
                    : throw Wrong(place, name, "must have ids of the vocabulary in special_tokens");
            }
        }
    }

    private static JsonElement First(JsonElement list) =>
        list.ValueKind == JsonValueKind.Array ? list.EnumerateArray().FirstOrDefault() : default;

    private int Named(JsonElement name, string place) =>
        name.ValueKind == JsonValueKind.String && ids.TryGetValue(name.GetString()!, out var id)
            ? id
            : throw Wrong(place, name, "must name a token of the vocabulary");

    private InvalidInputException Wrong(string place, JsonElement value, string must) =>
        folder.Error(TokenizerFolder.TokenizerJson, $"{place} is {value.Quote()}, but it {must}");
}
