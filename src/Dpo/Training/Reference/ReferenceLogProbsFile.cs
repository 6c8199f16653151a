using System.Runtime.InteropServices;
using System.Text;
using Dpo.Files;
using Dpo.Weights;
using Microsoft.Win32.SafeHandles;

namespace Dpo.Training.Reference;

/// <summary>
/// The file of reference log-probabilities: a safetensors file with the one tensor <c>reference_log_probs</c>, <c>[M]</c>, fp32,
/// the values of all completions' tokens in the order of the data, and texts that name the key and a checksum. It is written and
/// read example by example, since it may be larger than memory.
/// </summary>
internal sealed class ReferenceLogProbsFile : IDisposable
{
    private const string TensorName = "reference_log_probs";
    private const string VersionName = "dpo_reference_log_probs_version";
    private const string ChecksumName = "sha256";
    private const string Version = "1";
    private const int PieceBytes = 1 << 20;

    private readonly string path;
    private readonly SafeFileHandle file;
    private readonly long dataStart;

    /// <summary>Opens a file and reads it once, to see that it is whole and holds the values computed under
    /// <paramref name="key"/>.</summary>
    /// <exception cref="InvalidInputException">The file is damaged, or was computed under another key; the message, one
    /// sentence, names the file and the difference.</exception>
    public ReferenceLogProbsFile(string path, ReferenceLogProbsKey key)
    {
        this.path = path;
        file = RegularFile.OpenHandle(path);
        try
        {
            var header = SafetensorsHeader.Read(file, path);
            string Text(string name) => header.Metadata.GetValueOrDefault(name, "");
            if (Text(VersionName) != Version
                || header.Entries is not [{ Name: TensorName, Dtype.Name: "F32", Shape: [var count] }])
                throw new InvalidInputException(
                    $"{path} is no file of reference log-probabilities in version {Version} of their format.");
            (dataStart, Count) = (header.DataStart, count);
            var stored = new ReferenceLogProbsKey(
                Text("weights_sha256"), Text("config_sha256"), Text("tokens_sha256"), Text("precision"));
            if (Text(ChecksumName) != Checksum(stored, Pieces()))
                throw new InvalidInputException($"{path} is damaged: its checksum is another than that of what it holds.");
            if (string.Join(", and ", key.DifferencesOf(stored)) is { Length: > 0 } differences)
                throw new InvalidInputException($"{path} was computed with {differences}.");
        }
        catch
        {
            file.Dispose();
            throw;
        }
    }

    /// <summary>How many values there are: completion tokens of all examples.</summary>
    public long Count { get; }

    /// <summary>Reads values.</summary>
    /// <param name="first">The first of them.</param>
    /// <param name="values">What is filled.</param>
    public void Read(long first, Span<float> values)
    {
        try
        {
            file.ReadExactly(MemoryMarshal.AsBytes(values), dataStart + (first * sizeof(float)));
        }
        catch (IOException e)
        {
            throw new InvalidInputException($"{path} cannot be read on: {e.Message}.", e);
        }
    }

    /// <summary>Closes the file.</summary>
    public void Dispose() => file.Dispose();

    /// <summary>Writes a file, whole or not at all.</summary>
    /// <param name="path">The file.</param>
    /// <param name="key">What the values were computed under.</param>
    /// <param name="count">How many values there are.</param>
    /// <param name="values">The values in the order of the data, an example's at a time; gone through twice.</param>
    public static void Write(string path, ReferenceLogProbsKey key, long count, IEnumerable<float[]> values)
    {
        var metadata = new Dictionary<string, string>
        {
            [VersionName] = Version,
            ["weights_sha256"] = key.Weights,
            ["config_sha256"] = key.Config,
            ["tokens_sha256"] = key.Tokens,
            ["precision"] = key.Precision,
            [ChecksumName] = Checksum(key, values),
        };
        var entry = new SafetensorsEntry(TensorName, SafetensorsDtype.Named("F32")!, [count], 0, count * sizeof(float));
        SafetensorsWriter.Write(path, entry, metadata, stream =>
        {
            foreach (var piece in values)
                stream.Write(MemoryMarshal.AsBytes<float>(piece));
        });
    }

    /// <summary>Refuses a path at which something lies that was never such a file, whole or damaged, and that therefore may not
    /// be replaced.</summary>
    public static void RequireReplaceable(string path)
    {
        var beginning = new byte[1024]; // the texts lie in front of everything else
        using (var file = RegularFile.OpenHandle(path))
            file.ReadUpTo(beginning, 0);
        if (beginning.AsSpan().IndexOf(Encoding.ASCII.GetBytes(VersionName)) < 0)
            throw new InvalidInputException(
                $"{path} is no file of reference log-probabilities, so it is not replaced by one; " +
                "give another path, or delete it.");
    }

    /// <summary>All values, piece by piece, in one buffer.</summary>
    private IEnumerable<float[]> Pieces()
    {
        var buffer = new float[PieceBytes / sizeof(float)];
        for (long first = 0; first < Count; first += buffer.Length)
        {
            if (Count - first < buffer.Length)
                buffer = new float[Count - first];
            Read(first, buffer);
            yield return buffer;
        }
    }

    private static string Checksum(ReferenceLogProbsKey key, IEnumerable<float[]> values)
    {
        using var digest = new Digest();
        digest.Append(Encoding.UTF8.GetBytes(key.ToString()).AsSpan());
        foreach (var piece in values)
            digest.Append(MemoryMarshal.AsBytes<float>(piece));
        return digest.EndAsText();
    }
}
