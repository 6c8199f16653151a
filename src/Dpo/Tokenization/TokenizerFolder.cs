using System.Text.Json;
using Dpo.Files;

namespace Dpo.Tokenization;

/// <summary>
/// The files of a model folder that say how it tokenizes, held as bytes so that they can be saved unchanged.
/// </summary>
internal sealed class TokenizerFolder
{
    public const string TokenizerJson = "tokenizer.json";
    public const string VocabJson = "vocab.json";
    public const string MergesText = "merges.txt";
    public const string TokenizerConfig = "tokenizer_config.json";
    public const string SpecialTokensMap = "special_tokens_map.json";
    public const string AddedTokens = "added_tokens.json";
    public const string GenerationConfig = "generation_config.json";
    public const string Config = "config.json";

    // Twice the largest that is published; parsed, a file takes several times its length.
    private const int LongestFile = 64 << 20;

    private static readonly string[] Names =
        [TokenizerJson, VocabJson, MergesText, TokenizerConfig, SpecialTokensMap, AddedTokens, GenerationConfig, Config];

    private readonly string _folder;
    private readonly Dictionary<string, byte[]> _files;
    private CompanionFiles? companions;

    public TokenizerFolder(string folder, Dictionary<string, byte[]> files)
    {
        _folder = folder;
        _files = files;
    }

    public static TokenizerFolder Read(string folder)
    {
        if (!Directory.Exists(folder))
            throw new InvalidInputException($"{folder}: there is no such folder; give a model folder with its tokenizer files.");
        try
        {
            var files = Names.Where(name => File.Exists(Path.Combine(folder, name)))
                .ToDictionary(name => name, name => RegularFile.ReadAllBytes(Path.Combine(folder, name), LongestFile));
            return new TokenizerFolder(folder, files) { companions = CompanionFiles.OfTokenizer(folder) };
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new InvalidInputException($"{folder}: a tokenizer file cannot be read ({e.Message}).", e);
        }
    }

    /// <summary>Where the files came from.</summary>
    public string Folder => _folder;

    public bool Has(string name) => _files.ContainsKey(name);

    public byte[] Bytes(string name) => _files[name];

    /// <summary>Writes every file but the model's own <c>config.json</c>, each whole or not at all.</summary>
    public void Save(string folder)
    {
        Directory.CreateDirectory(folder);
        foreach (var (name, bytes) in _files.Where(file => file.Key != Config))
            AtomicFile.Write(Path.Combine(folder, name), file => file.Write(bytes));
        companions?.Save(folder);
    }

    /// <summary>The file's outermost object; null where the folder has no such file.</summary>
    public JsonElement? Json(string name)
    {
        if (!_files.TryGetValue(name, out var bytes))
            return null;
        try
        {
            using var document = JsonDocument.Parse(WithoutByteOrderMark(bytes));
            if (document.RootElement.ValueKind != JsonValueKind.Object)
                throw Error(name, "is not a JSON object");
            ReadStrings(document.RootElement);
            return document.RootElement.Clone();
        }
        catch (InvalidOperationException e)
        {
            throw Error(name, $"holds text that is not valid Unicode ({e.Message})");
        }
        catch (JsonException e)
        {
            throw Error(name, $"is not valid JSON ({e.Message})");
        }
    }

    /// <summary>Reads every string once: one with half a surrogate pair throws, here and not in the midst of some field.</summary>
    private static void ReadStrings(JsonElement element)
    {
        if (element.ValueKind == JsonValueKind.String)
            element.GetString();
        if (element.ValueKind == JsonValueKind.Array)
        {
            foreach (var item in element.EnumerateArray())
                ReadStrings(item);
        }
        if (element.ValueKind == JsonValueKind.Object)
        {
            foreach (var field in element.EnumerateObject())
            {
                _ = field.Name;
                ReadStrings(field.Value);
            }
        }
    }

    /// <summary>The error that names the file and says what is wrong with it.</summary>
    public InvalidInputException Error(string name, string problem) => new($"{Path.Combine(_folder, name)}: {problem}.");

    private static ReadOnlyMemory<byte> WithoutByteOrderMark(byte[] bytes) =>
        bytes.AsSpan().StartsWith("\uFEFF"u8) ? bytes.AsMemory(3) : bytes;
}
