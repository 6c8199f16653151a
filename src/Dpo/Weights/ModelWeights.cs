using System.Text.Json;
using Dpo.Files;
using static TorchSharp.torch;

namespace Dpo.Weights;

/// <summary>
/// The weights of a model folder in Hugging Face's layout: <c>model.safetensors</c>, or the shards that
/// <c>model.safetensors.index.json</c> names; where there is neither, the older <c>pytorch_model.bin</c> in the same two ways.
/// </summary>
internal sealed class ModelWeights : IDisposable
{
    /// <summary>What <see cref="Save"/> writes.</summary>
    public const string FileName = "model.safetensors";

    private const string TorchName = "pytorch_model.bin";
    private const string IndexSuffix = ".index.json";
    private const int ListedNames = 5;

    /// <summary>Where weights may be, in the order in which transformers looks for them.</summary>
    private static readonly string[] sources = [FileName, FileName + IndexSuffix, TorchName, TorchName + IndexSuffix];

    private readonly string source;
    private readonly List<IWeightFile> files = [];
    private readonly Dictionary<string, IWeightFile> fileOf = [];

    private ModelWeights(string source) => this.source = source;

    /// <summary>The names of all tensors, in the order of the files and of the data in them.</summary>
    public IEnumerable<string> Names => files.SelectMany(file => file.Names);

    /// <summary>Opens the weights and checks that the files agree with the index; reads no tensor yet.</summary>
    public static ModelWeights Open(string folder)
    {
        var source = sources.Select(name => Path.Combine(folder, name)).FirstOrDefault(File.Exists)
            ?? throw new InvalidInputException(Directory.Exists(folder)
                ? $"{folder} has no weights: none of {string.Join(", ", sources)}."
                : $"The model folder {folder} does not exist.");
        var weights = new ModelWeights(source);
        try
        {
            if (source.EndsWith(IndexSuffix, StringComparison.Ordinal))
                weights.AddShards(folder);
            else
                weights.Add(source);
            return weights;
        }
        catch
        {
            weights.Dispose();
            throw;
        }
    }

    /// <summary>Opens one file, such as an adapter's.</summary>
    public static ModelWeights OpenFile(string path)
    {
        var weights = new ModelWeights(path);
        weights.Add(path);
        return weights;
    }

    /// <summary>Writes one <c>model.safetensors</c>, whole or not at all; makes the folder where it is missing.</summary>
    public static void Save(string folder, IReadOnlyList<(string Name, Tensor Parameter)> parameters)
    {
        Directory.CreateDirectory(folder);
        SafetensorsWriter.Write(Path.Combine(folder, FileName), parameters);
    }

    /// <summary>
    /// Fills every parameter with the tensor of its name. Names are compared first, so that a folder of another model is
    /// refused before anything is read.
    /// </summary>
    /// <param name="parameters">Names as in the files, and the tensors to fill.</param>
    /// <param name="ignored">Which tensors of the files the model may leave unread, such as buffers; null for none.</param>
    public void LoadInto(IReadOnlyList<(string Name, Tensor Parameter)> parameters, Func<string, bool>? ignored)
    {
        Require([.. parameters.Select(item => (item.Name, (IReadOnlyList<long>)item.Parameter.shape))], ignored);
        foreach (var (name, parameter) in parameters)
            ReadInto(name, parameter);
    }

    /// <summary>Whether there is a tensor of a name.</summary>
    public bool Has(string name) => fileOf.ContainsKey(name);

    /// <summary>The shape of a tensor that there is.</summary>
    public IReadOnlyList<long> Shape(string name) => fileOf[name].Shape(name);

    /// <summary>Fills a tensor with the one of a name that there is.</summary>
    public void ReadInto(string name, Tensor parameter) => fileOf[name].ReadInto(name, parameter);

    /// <summary>Refuses the files unless they hold tensors of these names and shapes, and no others.</summary>
    /// <param name="parameters">Names as in the files, and shapes.</param>
    /// <param name="ignored">As for <see cref="LoadInto"/>.</param>
    public void Require(IReadOnlyList<(string Name, IReadOnlyList<long> Shape)> parameters, Func<string, bool>? ignored)
    {
        var missing = parameters.Select(item => item.Name).Where(name => !fileOf.ContainsKey(name)).ToList();
        if (missing.Count > 0)
            throw new InvalidInputException($"{source} lacks what the model needs: {List(missing, name => $"\"{name}\"")}.");
        var wanted = parameters.Select(item => item.Name).ToHashSet();
        var extra = Names.Where(name => !wanted.Contains(name) && ignored?.Invoke(name) != true).ToList();
        if (extra.Count > 0)
            throw new InvalidInputException(
                $"{source} holds what the model does not have: " +
                $"{List(extra, name => $"\"{name}\" (in {Path.GetFileName(fileOf[name].Path)})")}.");
        foreach (var (name, shape) in parameters)
            StoredTensor.RequireShape(fileOf[name].Path, name, fileOf[name].Shape(name), shape);
    }

    /// <summary>Whether there is a tensor of a name that differs from what the tensor of another name would fill
    /// <paramref name="values"/> with, which it does.</summary>
    public bool Differ(string name, string other, Tensor values)
    {
        if (!fileOf.TryGetValue(name, out var file) || !fileOf.TryGetValue(other, out var otherFile))
            return false;
        otherFile.ReadInto(other, values);
        return !file.Holds(name, values);
    }

    /// <summary>Closes the files.</summary>
    public void Dispose() => files.ForEach(file => file.Dispose());

    private void Add(string path)
    {
        IWeightFile file = Path.GetExtension(path) == ".bin" ? new TorchReader(path) : new SafetensorsReader(path);
        files.Add(file);
        foreach (var name in file.Names)
        {
            if (!fileOf.TryAdd(name, file))
                throw new InvalidInputException($"Tensor \"{name}\" is both in {fileOf[name].Path} and in {path}.");
        }
    }

    private void AddShards(string folder)
    {
        if (!StrictJson.ReadFile(source).TryGetProperty("weight_map", out var map) || map.ValueKind != JsonValueKind.Object)
            throw new InvalidInputException($"{source}: `weight_map` must be an object of tensor names and file names.");
        var shardOf = new Dictionary<string, string>();
        foreach (var property in map.EnumerateObject())
        {
            var shard = property.Value.ValueKind == JsonValueKind.String ? property.Value.GetString()! : "";
            // A plain name: an index must not reach files outside its folder.
            if (shard is "" or "." or ".." || shard.AsSpan().IndexOfAny("/\\:\0") >= 0)
                throw new InvalidInputException($"{source}: tensor \"{property.Name}\" must name a file in the same folder.");
            shardOf.Add(property.Name, Path.Combine(folder, shard));
        }
        foreach (var shard in shardOf.Values.Distinct().Order(StringComparer.Ordinal))
        {
            if (!File.Exists(shard))
                throw new InvalidInputException($"{source} names {Path.GetFileName(shard)}, which the folder lacks.");
            Add(shard);
        }
        foreach (var (name, shard) in shardOf)
        {
            if (!fileOf.TryGetValue(name, out var file) || file.Path != shard)
                throw new InvalidInputException(
                    $"{shard} has no tensor \"{name}\", though {Path.GetFileName(source)} places it there.");
        }
    }

    private static string List(List<string> names, Func<string, string> describe)
    {
        var listed = string.Join(", ", names.Take(ListedNames).Select(describe));
        return names.Count > ListedNames ? $"{listed} and {names.Count - ListedNames} more" : listed;
    }
}
