using System.Runtime.InteropServices;
using System.Text.Json;
using System.Text.Json.Serialization;
using Dpo.Batching;
using Dpo.Files;
using Dpo.Models;
using Dpo.Weights;
using TorchSharp;

namespace Dpo.Evaluation.Reporting;

/// <summary>What made the files of an output folder: <c>run.json</c>. It holds no time of day, so that two equal runs on one
/// machine write equal bytes.</summary>
public sealed record RunRecord
{
    internal const string FileName = "run.json";

    private static readonly JsonSerializerOptions style = new()
    {
        PropertyNamingPolicy = JsonNamingPolicy.SnakeCaseLower,
        WriteIndented = true,
        NewLine = "\n",
        UnmappedMemberHandling = JsonUnmappedMemberHandling.Disallow,
        RespectNullableAnnotations = true,
        Encoder = System.Text.Encodings.Web.JavaScriptEncoder.UnsafeRelaxedJsonEscaping,
    };

    /// <summary>The program, such as <c>Imdb</c>: the title of its report.</summary>
    public required string Program { get; init; }

    /// <summary>What the run was asked to do, by names that a reader knows.</summary>
    public required IReadOnlyDictionary<string, string> Options { get; init; }

    /// <summary>What it was trained and measured on, by name: a digest (<see cref="DigestOf(PreferenceData)"/>), or words where
    /// there is none.</summary>
    public IReadOnlyDictionary<string, string> Data { get; init; } = new Dictionary<string, string>();

    /// <summary>The models that it began with, by name (<see cref="DigestOf(CausalLanguageModel)"/>).</summary>
    public IReadOnlyDictionary<string, string> Models { get; init; } = new Dictionary<string, string>();

    /// <summary>What the training data are like, by name, in words (<see cref="Reporting.Audit"/>).</summary>
    public IReadOnlyDictionary<string, string> Audit { get; init; } = new Dictionary<string, string>();

    /// <summary>What was not done or looked at, a sentence each: a reader is to know it.</summary>
    public IReadOnlyList<string> LeftOut { get; init; } = [];

    /// <summary>Versions of what computed it; by default those that run now.</summary>
    public IReadOnlyDictionary<string, string> Versions { get; init; } = new Dictionary<string, string>
    {
        ["Dpo"] = VersionOf(typeof(CausalLanguageModel)),
        ["TorchSharp"] = VersionOf(typeof(torch)),
        [".NET"] = Environment.Version.ToString(),
        ["system"] = RuntimeInformation.OSDescription,
    };

    /// <summary>The machine; by default this one.</summary>
    public IReadOnlyDictionary<string, string> Machine { get; init; } = new Dictionary<string, string>
    {
        ["architecture"] = RuntimeInformation.ProcessArchitecture.ToString(),
        ["cores"] = Environment.ProcessorCount.ToString(System.Globalization.CultureInfo.InvariantCulture),
        ["memory"] = $"{Math.Round(GC.GetGCMemoryInfo().TotalAvailableMemoryBytes / 1e9)} GB",
    };

    /// <summary>SHA-256 of all that data train on: ids, what is known of the completions, reference log-probabilities.</summary>
    public static string DigestOf(PreferenceData data)
    {
        ArgumentNullException.ThrowIfNull(data);
        return data.Source.Digest.All;
    }

    /// <summary>SHA-256 of a model's weights.</summary>
    public static string DigestOf(CausalLanguageModel model)
    {
        ArgumentNullException.ThrowIfNull(model);
        return TensorDigest.Of(model.named_parameters().Select(named => (named.name, (torch.Tensor)named.parameter)));
    }

    /// <summary>Writes <c>run.json</c>, whole or not at all; one that is there is replaced.</summary>
    /// <param name="folder">The output folder, which must be there.</param>
    public void Write(string folder)
    {
        ArgumentNullException.ThrowIfNull(folder);
        AtomicFile.Write(Path.Combine(folder, FileName), stream =>
        {
            JsonSerializer.Serialize(stream, this, style);
            stream.WriteByte((byte)'\n');
        });
    }

    /// <summary>Reads what <see cref="Write"/> wrote; null where the folder has no <c>run.json</c>.</summary>
    /// <exception cref="InvalidInputException">It cannot be read, or is no such record.</exception>
    public static RunRecord? Read(string folder)
    {
        ArgumentNullException.ThrowIfNull(folder);
        var path = Path.Combine(folder, FileName);
        if (!File.Exists(path))
            return null;
        try
        {
            using var stream = RegularFile.OpenRead(path);
            return JsonSerializer.Deserialize<RunRecord>(stream, style) ?? throw new JsonException("It is null.");
        }
        catch (JsonException e)
        {
            throw new InvalidInputException(
                $"{path} is no record of a run: {e.Message} Take the file away to report without it.", e);
        }
    }

    private static string VersionOf(Type type) => type.Assembly.GetName().Version?.ToString(3) ?? "unknown";
}
