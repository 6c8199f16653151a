using System.Runtime.InteropServices;
using Dpo.Files;
using Dpo.Native;
using Dpo.Weights;
using TorchSharp;
using static TorchSharp.torch;

namespace Dpo.Models;

/// <summary>Model folders in Hugging Face's layout: which architecture, and its weights by name.</summary>
internal static class ModelFolder
{
    /// <summary>Loads a model.</summary>
    /// <param name="name">The folder, or a name on the hub.</param>
    /// <param name="device">Where it goes.</param>
    /// <param name="dtype">The type of its matrices.</param>
    /// <param name="scalarSeed">Where it is to have a scalar head, what seeds one that the folder does not hold; null for a
    /// language model.</param>
    public static TransformerModel Load(string name, Device device, ScalarType dtype, int? scalarSeed = null)
    {
        if (dtype is not (ScalarType.Float32 or ScalarType.BFloat16 or ScalarType.Float16))
            throw new ArgumentException(
                $"A model's weights are kept as Float32, BFloat16 or Float16, not as {dtype}.", nameof(dtype));
        NativeBackend.Require(device);
        var folder = HubCache.Resolve(name);
        if (!Directory.Exists(folder))
            throw new InvalidInputException(
                $"{folder}: there is no such model folder; give one that holds config.json and the weights.");
        var config = ScalarHead.Config(ModelConfig.Read(folder), isScalar: scalarSeed is not null);
        var model = Create(config);
        try
        {
            using var weights = ModelWeights.Open(folder);
            (model.LoadedFrom, model.Companions) = (name, CompanionFiles.OfModel(folder));
            if (dtype != ScalarType.Float32)
                model.StoreMatrices(dtype, areFilled: false);
            LoadInto(model, weights, scalarSeed);
            return model.to(device);
        }
        catch
        {
            model.Dispose();
            throw;
        }
    }

    private static void LoadInto(TransformerModel model, ModelWeights weights, int? scalarSeed)
    {
        // A file saved without the output head, as the hub's GPT-2 was, names its tensors without the body's prefix.
        var whole = weights.Names.Any(name => name.StartsWith(model.BodyPrefix, StringComparison.Ordinal));
        // A head in the file that is not the embedding, as merging an adapter may leave it, is what the model computes with.
        if (model.IsTied
            && weights.Differ(model.HeadName + ".weight", NameInFile(model.TokenVectorsName), model.Head.Weight!))
            model.Untie();
        var isNew = scalarSeed is not null && !weights.Has(ScalarHead.WeightName);
        weights.LoadInto(
            [.. model.named_parameters().Where(named => !isNew || named.name != ScalarHead.WeightName)
                .Select(named => (NameInFile(named.name), (Tensor)named.parameter))],
            model.IsDerived);
        if (isNew)
            ScalarHead.Draw(model, scalarSeed!.Value, ScalarHead.Deviation);

        string NameInFile(string name) =>
            whole || !name.StartsWith(model.BodyPrefix, StringComparison.Ordinal) ? name : name[model.BodyPrefix.Length..];
    }

    /// <summary>Makes a model with weights that are still to be filled.</summary>
    public static TransformerModel Create(ModelConfig config)
    {
        try
        {
            return ModelTypes.Create(config);
        }
        catch (ExternalException e)
        {
            throw TooLarge(config, e);
        }
    }

    /// <summary>What is said where a model's weights cannot be allocated.</summary>
    public static InvalidInputException TooLarge(ModelConfig config, ExternalException failure) =>
        new($"{config.Source}: a model of these sizes cannot be made; one of them must be wrong.", failure);

    public static void Save(TransformerModel model, string folder)
    {
        using var scope = NewDisposeScope();
        (string, Tensor)[] weights = [.. model.MergedParameters()];
        FiniteWeights.Require(weights, $"The model was not written to {folder}");
        model.Config.Write(folder);
        model.Companions?.Save(folder);
        ModelWeights.Save(folder, weights);
    }
}
