using System.Security.Cryptography;
using System.Text;
using System.Text.Json;
using System.Text.Json.Serialization;
using Dpo.Files;

namespace Dpo.Training.Checkpointing;

/// <summary>What <c>state.json</c> of a checkpoint says. Its last line is the SHA-256 of all bytes before that line.</summary>
/// <param name="Version">The version of the format.</param>
/// <param name="Position">How far the run is.</param>
/// <param name="DropoutDraws">How often the adapter's dropout has drawn.</param>
/// <param name="Facts">What the run was asked for and where it ran, by name.</param>
/// <param name="Files">SHA-256 of every other file of the checkpoint, by name.</param>
internal sealed record CheckpointState(
    int Version,
    RunPosition Position,
    long DropoutDraws,
    IReadOnlyDictionary<string, string> Facts,
    IReadOnlyDictionary<string, string> Files)
{
    public const string FileName = "state.json";
    public const int CurrentVersion = 1;

    /// <summary>The longest file that is read, in bytes; one of ours has some thousand.</summary>
    private const int MaximumLength = 16 << 20;

    private static readonly JsonSerializerOptions json = new()
    {
        WriteIndented = true,
        NewLine = "\n",
        PropertyNamingPolicy = JsonNamingPolicy.SnakeCaseLower,
        Encoder = System.Text.Encodings.Web.JavaScriptEncoder.UnsafeRelaxedJsonEscaping,
        UnmappedMemberHandling = JsonUnmappedMemberHandling.Disallow,
        RespectRequiredConstructorParameters = true,
        RespectNullableAnnotations = true,
    };

    /// <summary>SHA-256 of the file's bytes before the comma in front of this property, which is the last.</summary>
    [JsonPropertyName("sha256"), JsonPropertyOrder(1)]
    public string Sha256 { get; init; } = new('0', 2 * SHA256.HashSizeInBytes);

    /// <summary>Writes the state, whole or not at all.</summary>
    public void Write(string folder)
    {
        // The digest has as many letters with any value, so that what lies before it may be written with another one.
        var digest = DigestOf(ToJson());
        AtomicFile.Write(Path.Combine(folder, FileName), stream => stream.Write((this with { Sha256 = digest }).ToJson()));
    }

    /// <summary>Reads the state of a checkpoint.</summary>
    /// <exception cref="InvalidInputException">It is missing, damaged, edited or of another version.</exception>
    public static CheckpointState Read(string folder)
    {
        var path = Path.Combine(folder, FileName);
        if (!File.Exists(path))
            throw new InvalidInputException(Directory.Exists(folder)
                ? $"{folder} is no checkpoint: it has no {FileName}."
                : $"{folder}: there is no such checkpoint.");
        var bytes = RegularFile.ReadAllBytes(path, MaximumLength);
        if (!bytes.AsSpan().EndsWith(Seal(DigestOf(bytes))))
            throw new InvalidInputException($"{path} is damaged or was edited: its checksum is not that of what it holds.");
        try
        {
            // Another version may have other fields.
            var version = JsonDocument.Parse(bytes).RootElement.GetProperty("version").GetInt32();
            return version == CurrentVersion
                ? JsonSerializer.Deserialize<CheckpointState>(bytes, json)!
                : throw new InvalidInputException(
                    $"{path} is of version {version} of the format, and this library reads version {CurrentVersion}; " +
                    "resume with the library that wrote it.");
        }
        catch (Exception e) when (e is JsonException or KeyNotFoundException or InvalidOperationException or FormatException)
        {
            throw new InvalidInputException($"{path} is not the state of a checkpoint of this library.", e);
        }
    }

    private byte[] ToJson() => [.. JsonSerializer.SerializeToUtf8Bytes(this, json), (byte)'\n'];

    /// <summary>SHA-256 of a file without its end.</summary>
    private static string DigestOf(ReadOnlySpan<byte> file)
    {
        var length = file.Length - Seal("").Length - (2 * SHA256.HashSizeInBytes);
        return Digest.Of(file[..Math.Max(0, length)]);
    }

    /// <summary>How the file ends.</summary>
    private static ReadOnlySpan<byte> Seal(string digest) => Encoding.UTF8.GetBytes($",\n  \"sha256\": \"{digest}\"\n}}\n");
}
