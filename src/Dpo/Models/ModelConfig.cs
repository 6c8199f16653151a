using System.Text.Json;
using System.Text.Json.Nodes;
using Dpo.Files;

namespace Dpo.Models;

/// <summary>
/// A model folder's <c>config.json</c>: typed, checked access to the fields an architecture asks for, and all the others kept,
/// so that a saved model carries them on. A field that is null counts as absent; a dot reaches into an object.
/// </summary>
/// <remarks>Dpo itself reads <c>model_type</c>, and keeps <c>vocab_size</c> and <c>tie_word_embeddings</c> true where an adapter
/// changes the embeddings. What an accessor throws, an <see cref="InvalidInputException"/>, names the file, the field, its value
/// and what it must be.</remarks>
public sealed class ModelConfig
{
    /// <summary>The largest size of anything in a model; two of them make no product beyond a <see cref="long"/>.</summary>
    public const int Largest = 1 << 24;

    private const string FileName = "config.json";
    private const string Architectures = "architectures";
    private const string Scalar = "ForSequenceClassification";

    private readonly JsonElement fields;
    private readonly string source;

    /// <summary>A configuration that no file holds yet.</summary>
    /// <param name="fields">Its fields, which are copied; <c>model_type</c> and <c>vocab_size</c> among them.</param>
    public ModelConfig(JsonObject fields)
        : this(JsonSerializer.SerializeToElement(fields), FileName)
    {
    }

    private ModelConfig(JsonElement fields, string source)
    {
        this.fields = fields;
        this.source = source;
    }

    /// <summary>The file, for messages.</summary>
    public string Source => source;

    /// <summary>The architecture, such as <c>gpt2</c>.</summary>
    public string ModelType => String("model_type");

    /// <summary>The names of all fields, null or not.</summary>
    public IEnumerable<string> Fields => fields.EnumerateObject().Select(property => property.Name);

    /// <summary>Reads the <c>config.json</c> of a model folder, or a file like it.</summary>
    /// <exception cref="InvalidInputException">There is none, or it is no JSON object.</exception>
    public static ModelConfig Read(string folder, string fileName = FileName)
    {
        var path = Path.Combine(folder, fileName);
        return new ModelConfig(StrictJson.ReadFile(path), path);
    }

    /// <summary>Whether the field is there and not null.</summary>
    public bool Has(string field) => Find(field) is not null;

    /// <summary>Whether the file has the field, be it null; not for those within objects.</summary>
    public bool Names(string field) => fields.TryGetProperty(field, out _);

    /// <summary>A whole number of at least <paramref name="minimum"/>, or the fallback where the field is absent. Beyond
    /// <paramref name="maximum"/> the file is damaged rather than the model large.</summary>
    public int Int(string field, int? fallback = null, int minimum = 1, int maximum = Largest)
    {
        var value = Find(field);
        if (value is null && fallback is not null)
            return fallback.Value;
        return value is { ValueKind: JsonValueKind.Number } number && number.TryGetInt32(out var result)
            && result >= minimum && result <= maximum
            ? result
            : throw Wrong(field, $"it must be a whole number from {minimum} to {maximum}");
    }

    /// <summary>A whole number that is a multiple of another field's: the width of a model, of the number of its heads.</summary>
    public int Multiple(string field, string of)
    {
        var (value, divisor) = (Int(field), Int(of));
        return value % divisor == 0 ? value : throw Wrong(field, $"it must be a multiple of {of}, {divisor}");
    }

    /// <summary>The number of a model's blocks, from 1 to 1000.</summary>
    public int Layers(string field) => Int(field, maximum: 1000);

    /// <summary>A number of at least <paramref name="minimum"/> that is finite in fp32 too, or the fallback where the field is
    /// absent.</summary>
    public double Double(string field, double? fallback = null, double minimum = 0)
    {
        var value = Find(field);
        if (value is null && fallback is not null)
            return fallback.Value;
        return value is { ValueKind: JsonValueKind.Number } number && number.TryGetDouble(out var result)
            && float.IsFinite((float)result) && result >= minimum
            ? result
            : throw Wrong(field, $"it must be a finite number of at least {minimum}");
    }

    /// <summary>True or false, or the fallback where the field is absent.</summary>
    public bool Bool(string field, bool? fallback = null)
    {
        var value = Find(field);
        if (value is null && fallback is not null)
            return fallback.Value;
        return value is { ValueKind: JsonValueKind.True or JsonValueKind.False } flag
            ? flag.GetBoolean()
            : throw Wrong(field, "it must be true or false");
    }

    /// <summary>A text, or the fallback where the field is absent.</summary>
    public string String(string field, string? fallback = null)
    {
        var value = Find(field);
        if (value is null && fallback is not null)
            return fallback;
        return value is { ValueKind: JsonValueKind.String } text
            ? text.GetString()!
            : throw Wrong(field, "it must be a string");
    }

    /// <summary>A list of texts.</summary>
    public IReadOnlyList<string> Strings(string field) =>
        Find(field) is { ValueKind: JsonValueKind.Array } list
        && list.EnumerateArray().All(item => item.ValueKind == JsonValueKind.String)
            ? [.. list.EnumerateArray().Select(item => item.GetString()!)]
            : throw Wrong(field, "it must be a list of strings");

    /// <summary>A text that must be one of those implemented: no model is computed otherwise than it was trained.</summary>
    public string OneOf(string field, string? fallback, params string[] implemented)
    {
        var value = String(field, fallback);
        return implemented.Contains(value) ? value : throw Unsupported(field, implemented);
    }

    /// <summary>An object of texts.</summary>
    public IReadOnlyDictionary<string, string> Texts(string field)
    {
        var value = Find(field);
        return value is { ValueKind: JsonValueKind.Object } group
            && group.EnumerateObject().All(item => item.Value.ValueKind == JsonValueKind.String)
            ? group.EnumerateObject().ToDictionary(item => item.Name, item => item.Value.GetString()!)
            : throw Wrong(field, "it must be an object of strings");
    }

    /// <summary>Refuses the model unless the field, if it is there, is <paramref name="implemented"/>.</summary>
    public void Require(string field, bool implemented)
    {
        if (Bool(field, implemented) != implemented)
            throw Unsupported(field, implemented ? "true" : "false");
    }

    /// <summary>Whether it describes a model that gives a text one number, as transformers' classes for sequence classification
    /// do.</summary>
    internal bool IsScalar => Architecture?.EndsWith(Scalar, StringComparison.Ordinal) == true;

    /// <summary>The name of transformers' class, such as <c>GPT2LMHeadModel</c>; null where the file does not name one.</summary>
    private string? Architecture =>
        Find(Architectures) is { ValueKind: JsonValueKind.Array } list && list.GetArrayLength() == 1
        && list[0].ValueKind == JsonValueKind.String
            ? list[0].GetString()
            : null;

    /// <summary>The same model with one number in the place of logits, as transformers writes such a
    /// <c>config.json</c>.</summary>
    internal ModelConfig AsScalar()
    {
        var name = Architecture ?? ModelType;
        foreach (var end in (string[])["ForCausalLM", "LMHeadModel"])
            name = name.EndsWith(end, StringComparison.Ordinal) ? name[..^end.Length] : name;
        // transformers has two labels unless these fields name fewer.
        return With(Architectures, new JsonArray(name + Scalar))
            .With("id2label", new JsonObject { ["0"] = "LABEL_0" })
            .With("label2id", new JsonObject { ["LABEL_0"] = 0 });
    }

    /// <summary>The same with another value of a field.</summary>
    internal ModelConfig With(string field, JsonNode value)
    {
        var changed = JsonObject.Create(fields)!;
        changed[field] = value;
        return new ModelConfig(JsonSerializer.SerializeToElement(changed), source);
    }

    /// <summary>Writes <c>config.json</c> into a folder that is made where it is missing: every field as it was read, but the
    /// type of the weights, which are saved as fp32.</summary>
    internal void Write(string folder)
    {
        var saved = JsonObject.Create(fields)!;
        // A bf16 left here would have transformers round the trained weights; the field's name changed with its version 5.
        foreach (var field in (string[])["dtype", "torch_dtype"])
        {
            if (saved.ContainsKey(field))
                saved[field] = "float32";
        }
        Directory.CreateDirectory(folder);
        StrictJson.WriteFile(Path.Combine(folder, FileName), saved);
    }

    /// <summary>One line for every field that may say how the model computes, sorted: all but notes on who saved it.</summary>
    internal string Description()
    {
        string[] notes = ["_name_or_path", "architectures", "dtype", "torch_dtype", "transformers_version"];
        var lines = fields.EnumerateObject()
            .Where(field => field.Value.ValueKind != JsonValueKind.Null && !notes.Contains(field.Name))
            .OrderBy(field => field.Name, StringComparer.Ordinal)
            .Select(field => $"{field.Name}: {JsonSerializer.Serialize(field.Value)}");
        return string.Join('\n', lines);
    }

    /// <summary>A field's value, or null where it is absent; dots lead into objects.</summary>
    public JsonElement? Find(string field)
    {
        var (place, dot) = (fields, field.LastIndexOf('.'));
        if (dot >= 0)
        {
            if (Find(field[..dot]) is not { } group)
                return null;
            place = group.ValueKind == JsonValueKind.Object ? group : throw Wrong(field[..dot], "it must be an object");
        }
        return place.TryGetProperty(field[(dot + 1)..], out var value) && value.ValueKind != JsonValueKind.Null ? value : null;
    }

    /// <summary>What an architecture throws where a field's value is none that it can be made with.</summary>
    /// <param name="field">The field.</param>
    /// <param name="requirement">What it must be, such as <c>it must be a multiple of n_head, 12</c>.</param>
    public InvalidInputException Wrong(string field, string requirement)
    {
        var text = Find(field) is { } value ? JsonSerializer.Serialize(value) : null;
        var state = text is null ? "missing" : text.Length > 40 ? $"{text[..40]}…" : text;
        return new InvalidInputException($"{source}: `{field}` is {state}; {requirement}.");
    }

    private InvalidInputException Unsupported(string field, params string[] implemented)
    {
        var list = implemented is [_, .., var last] ? $"{string.Join(", ", implemented[..^1])} and {last}" : implemented[0];
        return Wrong(field, $"Dpo implements {list} for {ModelType}");
    }
}
