using Dpo.Files;
using Dpo.Models;
using Dpo.Models.Lora;
using Dpo.Optimizers;
using Dpo.Weights;
using TorchSharp.Modules;
using static TorchSharp.torch;

namespace Dpo.Training.Checkpointing;

/// <summary>The tensors of a run that its steps change, as files of a checkpoint: trained weights, the optimizer's state, a reference
/// that has moved, and the process's random generator, which a module of the user's own may draw from.</summary>
internal sealed class TrainedState(
    CausalLanguageModel model, TrainedParameters trained, optim.Optimizer optimizer, PolicyReferencePair? pair)
{
    private const string TrainedName = "trained.safetensors";
    private const string OptimizerName = "optimizer.safetensors";
    private const string TorchOptimizerName = "optimizer.bin";
    private const string ReferenceName = "reference.safetensors";
    private const string RandomName = "random.safetensors";
    private const string GeneratorName = "cpu";

    private readonly TransformerModel? transformer = model as TransformerModel;

    /// <summary>How often the adapter's dropout has drawn.</summary>
    public long DropoutDraws
    {
        get => transformer?.Adapter?.DropoutDraws ?? 0;
        set
        {
            if (transformer?.Adapter is { } adapter)
                adapter.DropoutDraws = value;
        }
    }

    /// <summary>Whether the weights are an adapter's and no others.</summary>
    private bool IsAdapter => transformer?.Adapter?.Parameters.Select(named => named.Parameter.Handle).ToHashSet() is { Count: > 0 } own
        && own.SetEquals(trained.All.Select(named => named.Parameter.Handle));

    /// <summary>The state of the process's random generator.</summary>
    public static byte[] RandomState
    {
        get
        {
            using var state = Generator.Default.get_state();
            return state.bytes.ToArray();
        }
    }

    /// <summary>Refuses weights that are not finite.</summary>
    /// <param name="what">What is not done with them.</param>
    public void RequireFinite(string what) => FiniteWeights.Require(Trained(), what);

    /// <summary>Refuses an optimizer whose state cannot be saved.</summary>
    public void RequireRestorable()
    {
        if (optimizer is not (IRestorableOptimizer or OptimizerHelper))
            throw new InvalidInputException(
                $"The state of {optimizer.GetType().Name} cannot be saved, so a run with it cannot have checkpoints; take RmsProp, FusedAdamW, an optimizer " +
                "of torch.optim that TorchSharp computes itself, or implement IRestorableOptimizer.");
    }

    /// <summary>Writes the files into a folder, each flushed to the disk.</summary>
    public void Write(string folder)
    {
        using var scope = NewDisposeScope();
        if (IsAdapter)
            transformer!.SaveAdapter(folder);
        else if (transformer is { Lora: null })
            transformer.Save(folder);
        else
            SafetensorsWriter.Write(Path.Combine(folder, TrainedName), Trained());
        if (optimizer is IRestorableOptimizer restorable)
            SafetensorsWriter.Write(Path.Combine(folder, OptimizerName), restorable.State());
        else
            AtomicFile.Write(Path.Combine(folder, TorchOptimizerName), stream =>
            {
                using var writer = new BinaryWriter(stream, System.Text.Encoding.UTF8, leaveOpen: true);
                ((OptimizerHelper)optimizer).save_state_dict(writer);
            });
        if (pair?.MovedReference is { } moved)
            SafetensorsWriter.Write(Path.Combine(folder, ReferenceName), moved);
        SafetensorsWriter.Write(Path.Combine(folder, RandomName), [(GeneratorName, Generator.Default.get_state())]);
    }

    /// <summary>Takes the weights that are trained over from a checkpoint that was checked.</summary>
    /// <param name="folder">The checkpoint.</param>
    /// <exception cref="InvalidInputException">It is of another model; what was trained may be half replaced.</exception>
    public void ReadWeights(string folder)
    {
        using var scope = NewDisposeScope();
        using var noGradients = no_grad();
        if (IsAdapter)
            transformer!.ReadAdapterWeights(folder);
        else if (transformer is { Lora: null })
            Read(Path.Combine(folder, ModelWeights.FileName), [.. model.named_parameters().Select(named => (named.name, (Tensor)named.parameter))]);
        else
            Read(Path.Combine(folder, TrainedName), [.. Trained()]);
    }

    /// <summary>Takes the state over from a checkpoint that was checked.</summary>
    /// <param name="folder">The checkpoint.</param>
    /// <param name="files">The names of the files that belong to it.</param>
    /// <exception cref="InvalidInputException">It is of another model or optimizer; what was trained may be half replaced.</exception>
    public void Read(string folder, IEnumerable<string> files)
    {
        ReadWeights(folder);
        using var scope = NewDisposeScope();
        using var noGradients = no_grad();
        if (optimizer is IRestorableOptimizer restorable)
        {
            using var file = new SafetensorsReader(Path.Combine(folder, OptimizerName));
            restorable.LoadState(file.Names.Select(name => (name, file.Read(name))));
        }
        else
        {
            using var reader = new BinaryReader(File.OpenRead(Path.Combine(folder, TorchOptimizerName)));
            ((OptimizerHelper)optimizer).load_state_dict(reader);
        }
        if (files.Contains(ReferenceName))
            pair?.RestoreReference(Path.Combine(folder, ReferenceName));
        using var random = new SafetensorsReader(Path.Combine(folder, RandomName));
        Generator.Default.set_state(random.Read(GeneratorName));
    }

    private static void Read(string path, (string Name, Tensor Tensor)[] targets)
    {
        using var weights = ModelWeights.OpenFile(path);
        weights.LoadInto(targets, ignored: null);
    }

    private IEnumerable<(string Name, Tensor Tensor)> Trained() => trained.All.Select(named => (named.Name, (Tensor)named.Parameter));
}
