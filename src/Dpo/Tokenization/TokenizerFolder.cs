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

    private readonly string folder;
    private readonly Dictionary<string, byte[]> files;
    private CompanionFiles? companions;

    public TokenizerFolder(string folder, Dictionary<string, byte[]> files)
    {
        this.folder = folder;
        this.files = files;
    }

    public static TokenizerFolder Read(string folder)
    {
        if (!Directory.Exists(folder))
            throw new InvalidInputException($"{folder}: there is no such folder; give a model folder with its tokenizer files.");
        var files = Names.Where(name => File.Exists(Path.Combine(folder, name)))
            .ToDictionary(name => name, name => RegularFile.ReadAllBytes(Path.Combine(folder, name), LongestFile));
        return new TokenizerFolder(folder, files) { companions = CompanionFiles.OfTokenizer(folder) };
    }

    /// <summary>Where the files came from.</summary>
    public string Folder => folder;

    public bool Has(string name) => files.ContainsKey(name);

    public byte[] Bytes(string name) => files[name];

    /// <summary>Writes every file but the model's own <c>config.json</c>, each whole or not at all.</summary>
    public void Save(string folder)
    {
        Directory.CreateDirectory(folder);
        foreach (var (name, bytes) in files.Where(file => file.Key != Config))
            AtomicFile.Write(Path.Combine(folder, name), file => file.Write(bytes));
        companions?.Save(folder);
    }

    /// <summary>The file's outermost object; null where the folder has no such file.</summary>
    public JsonElement? Json(string name)
    {
        if (!files.TryGetValue(name, out var bytes))
            return null;
        return StrictJson.Parse(Path.Combine(folder, name), WithoutByteOrderMark(bytes));
    }

    /// <summary>The error that names the file and says what is wrong with it.</summary>
    public InvalidInputException Error(string name, string problem) => new($"{Path.Combine(folder, name)}: {problem}.");

    private static ReadOnlyMemory<byte> WithoutByteOrderMark(byte[] bytes) =>
        bytes.AsSpan().StartsWith("\uFEFF"u8) ? bytes.AsMemory(3) : bytes;
}
