using Dpo.Files;
using Dpo.Models;
using Dpo.Optimizers;
using Dpo.Weights;
using TorchSharp.Modules;
using static TorchSharp.torch;

namespace Dpo.Training.Checkpointing;

/// <summary>The tensors of a run that its steps change, as files of a checkpoint: trained weights, the optimizer's state, what
/// else there is, such as a reference that has moved, and the process's random generator, which a module of the user's own may
/// draw from.</summary>
internal sealed class TrainedState(
    CausalLanguageModel model, TrainedParameters trained, optim.Optimizer optimizer, IRestorable others)
{
    private const string OptimizerName = "optimizer.safetensors";
    private const string TorchOptimizerName = "optimizer.bin";
    private const string OthersName = "reference.safetensors";
    private const string RandomName = "random.safetensors";
    private const string GeneratorName = "cpu";

    /// <summary>How often the adapter's dropout has drawn.</summary>
    public long DropoutDraws
    {
        get => model.DropoutDraws;
        set => model.DropoutDraws = value;
    }

    /// <summary>The state of the process's random generator.</summary>
    public static byte[] RandomState
    {
        get
        {
            using var state = Generator.Default.get_state();
            return state.bytes.ToArray();
        }
    }

    /// <summary>All facts of the run.</summary>
    /// <param name="given">Those that its trainer gives.</param>
    public RunFacts FactsWith(IEnumerable<RunFact> given) => new(given, model, optimizer);

    /// <summary>Refuses weights that are not finite.</summary>
    /// <param name="what">What is not done with them.</param>
    public void RequireFinite(string what) =>
        FiniteWeights.Require(trained.All.Select(named => (named.Name, (Tensor)named.Parameter)), what);

    /// <summary>Refuses an optimizer whose state cannot be saved.</summary>
    public void RequireRestorable()
    {
        if (optimizer is not (IRestorableOptimizer or OptimizerHelper))
            throw new InvalidInputException(
                $"The state of {optimizer.GetType().Name} cannot be saved, so a run with it cannot have checkpoints; " +
                "take RmsProp, FusedAdamW, an optimizer of torch.optim that TorchSharp computes itself, " +
                "or implement IRestorableOptimizer.");
    }

    /// <summary>Writes the files into a folder, each flushed to the disk.</summary>
    public void Write(string folder)
    {
        using var scope = NewDisposeScope();
        model.WriteTrained(folder, trained.All);
        if (optimizer is IRestorableOptimizer restorable)
            SafetensorsWriter.Write(Path.Combine(folder, OptimizerName), restorable.State());
        else
            AtomicFile.Write(Path.Combine(folder, TorchOptimizerName), stream =>
            {
                using var writer = new BinaryWriter(stream, System.Text.Encoding.UTF8, leaveOpen: true);
                ((OptimizerHelper)optimizer).save_state_dict(writer);
            });
        if (others.State().ToArray() is { Length: > 0 } changed)
            SafetensorsWriter.Write(Path.Combine(folder, OthersName), changed);
        SafetensorsWriter.Write(Path.Combine(folder, RandomName), [(GeneratorName, Generator.Default.get_state())]);
    }

    /// <summary>Takes the weights that are trained over from a checkpoint that was checked.</summary>
    /// <param name="folder">The checkpoint.</param>
    /// <exception cref="InvalidInputException">It is of another model; what was trained may be half replaced.</exception>
    public void ReadWeights(string folder)
    {
        using var scope = NewDisposeScope();
        using var noGradients = no_grad();
        model.ReadTrained(folder, trained.All);
    }

    /// <summary>Takes the state over from a checkpoint that was checked.</summary>
    /// <param name="folder">The checkpoint.</param>
    /// <param name="files">The names of the files that belong to it.</param>
    /// <exception cref="InvalidInputException">It is of another model or optimizer; what was trained may be half
    /// replaced.</exception>
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
        if (files.Contains(OthersName))
            others.LoadState(Tensors(Path.Combine(folder, OthersName)));
        using var random = new SafetensorsReader(Path.Combine(folder, RandomName));
        Generator.Default.set_state(random.Read(GeneratorName));
    }

    private static IEnumerable<(string Name, Tensor Tensor)> Tensors(string path)
    {
        using var file = new SafetensorsReader(path);
        foreach (var name in file.Names)
        {
            using var tensor = file.Read(name);
            yield return (name, tensor);
        }
    }
}
