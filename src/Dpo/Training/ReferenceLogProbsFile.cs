using System.Security.Cryptography;
using System.Text;
using static TorchSharp.torch;

namespace Dpo;

/// <summary>
/// The file of reference log-probabilities: a safetensors file with the one tensor <c>reference_log_probs</c>, <c>[M]</c>, fp32,
/// the values of all completions' tokens in the order of the data, and texts that name the key and a checksum.
/// </summary>
internal static class ReferenceLogProbsFile
{
    private const string TensorName = "reference_log_probs";
    private const string VersionName = "dpo_reference_log_probs_version";
    private const string ChecksumName = "sha256";
    private const string Version = "1";

    public static void Write(string path, ReferenceLogProbsKey key, float[] values)
    {
        using var scope = NewDisposeScope();
        var perToken = tensor(values, device: CPU);
        var metadata = new Dictionary<string, string>
        {
            [VersionName] = Version,
            ["weights_sha256"] = key.Weights,
            ["config_sha256"] = key.Config,
            ["tokens_sha256"] = key.Tokens,
            ["precision"] = key.Precision,
            [ChecksumName] = Checksum(key, perToken),
        };
        SafetensorsWriter.Write(path, [(TensorName, perToken)], metadata);
    }

    /// <summary>Reads the values computed under <paramref name="key"/>.</summary>
    /// <exception cref="InvalidInputException">The file is damaged, or was computed under another key; the message, one
    /// sentence, names the file and the difference.</exception>
    public static float[] Read(string path, ReferenceLogProbsKey key)
    {
        using var scope = NewDisposeScope();
        using var file = new SafetensorsReader(path);
        string Text(string name) => file.Metadata.GetValueOrDefault(name, "");
        if (Text(VersionName) != Version)
            throw new InvalidInputException(
                $"{path} is no file of reference log-probabilities in version {Version} of their format.");

        var stored = new ReferenceLogProbsKey(
            Text("weights_sha256"), Text("config_sha256"), Text("tokens_sha256"), Text("precision"));
        var values = empty([.. file.Shape(TensorName)], float32, CPU);
        file.ReadInto(TensorName, values);
        if (Text(ChecksumName) != Checksum(stored, values))
            throw new InvalidInputException($"{path} is damaged: its checksum is another than that of what it holds.");
        if (string.Join(", and ", key.DifferencesOf(stored)) is { Length: > 0 } differences)
            throw new InvalidInputException($"{path} was computed with {differences}.");
        return values.data<float>().ToArray();
    }

    /// <summary>Refuses a path at which something lies that was never such a file, whole or damaged, and that therefore may not
    /// be replaced.</summary>
    public static void RequireReplaceable(string path)
    {
        var beginning = new byte[1024]; // the texts lie in front of everything else
        try
        {
            using var stream = File.OpenRead(path);
            stream.ReadAtLeast(beginning, beginning.Length, throwOnEndOfStream: false);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new InvalidInputException($"{path} cannot be read: {e.Message}", e);
        }
        if (beginning.AsSpan().IndexOf(Encoding.ASCII.GetBytes(VersionName)) < 0)
            throw new InvalidInputException(
                $"{path} is no file of reference log-probabilities, so it is not replaced by one; give another path, or delete it.");
    }

    private static string Checksum(ReferenceLogProbsKey key, Tensor values)
    {
        using var hash = IncrementalHash.CreateHash(HashAlgorithmName.SHA256);
        hash.AppendData(Encoding.UTF8.GetBytes(key.ToString()));
        hash.AppendData(values.bytes);
        return Convert.ToHexStringLower(hash.GetHashAndReset());
    }
}
