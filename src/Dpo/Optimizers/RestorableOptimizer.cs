using System.Globalization;
using Dpo.Native;
using TorchSharp.Modules;
using static TorchSharp.torch;

namespace Dpo.Optimizers;

/// <summary>
/// An optimizer whose state can be saved and restored, so that a run that was interrupted goes on bit for bit. It is a
/// <see cref="optim.Optimizer"/> like TorchSharp's own: make it after the model was moved to its device. All parameters have one
/// learning rate, which <see cref="optim.Optimizer.ParamGroups"/> gives access to.
/// </summary>
/// <remarks>
/// A parameter's state is made at the first step in which it has a gradient, lies on its device and is freed with the optimizer.
/// </remarks>
public abstract class RestorableOptimizer : optim.Optimizer, IRestorableOptimizer
{
    private readonly Parameter[] all;
    private readonly Tensor[]?[] states;

    private protected RestorableOptimizer(IEnumerable<Parameter> parameters, double learningRate)
        : base(IntPtr.Zero)
    {
        ArgumentNullException.ThrowIfNull(parameters);
        ArgumentOutOfRangeException.ThrowIfNegative(learningRate);
        // A weight that a module ties to another comes twice, and is one.
        all = [.. parameters.DistinctBy(TensorMemory.Identity)];
        states = new Tensor[]?[all.Length];
        var options = new OptimizerOptions { LearningRate = learningRate, InitialLearningRate = learningRate };
        _parameter_groups = [new ParamGroup { Parameters = all, Options = options }];
    }

    /// <summary>What an update depends on besides the learning rate, for a checkpoint: <c>alpha 0.99, epsilon
    /// 1E-08</c>.</summary>
    internal abstract string Constants { get; }

    /// <summary>A parameter that is updated, with its gradient and the optimizer's state for it.</summary>
    private protected readonly record struct Slot(Parameter Parameter, Tensor Gradient, Tensor[] State);

    /// <summary>What the tensors of a parameter's state are called, in their order; the names are PyTorch's.</summary>
    private protected abstract IReadOnlyList<string> StateNames { get; }

    /// <summary>Makes a parameter's state as it is before the first step.</summary>
    private protected abstract Tensor[] NewState(Parameter parameter);

    /// <summary>Updates parameters and states in place; no graph is recorded.</summary>
    private protected abstract void Update(IReadOnlyList<Slot> slots, double learningRate);

    /// <summary>Updates every parameter that has a gradient.</summary>
    /// <param name="closure">Computes the loss and its gradients anew before the update; usually null.</param>
    /// <returns>What the closure returned; null without one.</returns>
    public sealed override Tensor? step(Func<Tensor>? closure = null)
    {
        Tensor? loss = null;
        if (closure is not null)
        {
            using var grad = enable_grad();
            loss = closure();
        }
        using var noGrad = no_grad();
        using var scope = NewDisposeScope();
        var slots = new List<Slot>(all.Length);
        foreach (var (index, parameter) in all.Index())
        {
            if (parameter.grad is { } gradient)
                slots.Add(new Slot(parameter, gradient, states[index] ??= Kept(NewState(parameter))));
        }
        Update(slots, _parameter_groups[0].LearningRate);
        return loss;
    }

    /// <summary>Drops the gradients of all parameters, as PyTorch does.</summary>
    /// <remarks>
    /// The next backward pass hands its gradients over instead of adding them to zeros: that saves two passes over memory, and
    /// the buffers that it would have added from.
    /// </remarks>
    public sealed override void zero_grad()
    {
        foreach (var parameter in all)
            parameter.grad = null;
    }

    /// <summary>The parameters, each once, in the order they were given in.</summary>
    public sealed override IEnumerable<Parameter> parameters() => all;

    /// <summary>
    /// The state, in a form that a safetensors file can hold: tensors named by the parameter's place and PyTorch's name of what
    /// they are, such as <c>3.square_avg</c>. Empty before the first step.
    /// </summary>
    /// <returns>The optimizer's own tensors, which the next step changes: save or copy them, and dispose none.</returns>
    public IEnumerable<(string Name, Tensor Tensor)> State() =>
        states.Index().Where(entry => entry.Item is not null)
            .SelectMany(entry => StateNames.Zip(entry.Item!, (name, tensor) => (Name(entry.Index, name), tensor)));

    /// <summary>Takes over a state that <see cref="State"/> gave for the same parameters. The learning rate is not part of
    /// it.</summary>
    /// <param name="state">Is walked once and copied from tensor by tensor; the tensors may lie on any device and be disposed as
    /// soon as the next one is asked for.</param>
    /// <exception cref="InvalidInputException">A tensor is missing, unknown, or of another shape or data type than this
    /// optimizer's; the optimizer is left as it was.</exception>
    public void LoadState(IEnumerable<(string Name, Tensor Tensor)> state)
    {
        ArgumentNullException.ThrowIfNull(state);
        var places = Enumerable.Range(0, all.Length)
            .SelectMany(index => StateNames.Select((name, part) => (Name: Name(index, name), Place: (Index: index, Part: part))))
            .ToDictionary(entry => entry.Name, entry => entry.Place);
        var loaded = new Tensor[]?[all.Length];
        var missing = new HashSet<string>();
        try
        {
            foreach (var (name, tensor) in state)
            {
                if (!places.TryGetValue(name, out var place))
                    throw new InvalidInputException(
                        $"The optimizer state holds `{name}`, which {GetType().Name} over {all.Length} parameters " +
                        "does not have: restore it with the optimizer and the model that it was saved from.");
                if (loaded[place.Index] is null)
                {
                    loaded[place.Index] = Kept(NewState(all[place.Index]));
                    missing.UnionWith(StateNames.Select(part => Name(place.Index, part)));
                }
                Fill(loaded[place.Index]![place.Part], name, tensor);
                missing.Remove(name);
            }
            if (missing.Count > 0)
                throw new InvalidInputException(
                    $"The optimizer state lacks `{missing.Min(StringComparer.Ordinal)}`: it was not saved whole.");
        }
        catch
        {
            Free(loaded);
            throw;
        }
        Free(states);
        loaded.CopyTo(states, 0);
    }

    private static void Fill(Tensor target, string name, Tensor source)
    {
        static string Describe(Tensor tensor) => $"{tensor.dtype} [{string.Join(", ", tensor.shape)}]";

        if (!source.shape.SequenceEqual(target.shape) || source.dtype != target.dtype)
            throw new InvalidInputException(
                $"`{name}` of the optimizer state is {Describe(source)}, but its parameter needs {Describe(target)}: " +
                "restore it with the model that it was saved from.");
        using var scope = NewDisposeScope();
        target.copy_(source);
    }

    private static string Name(int index, string part) => string.Create(CultureInfo.InvariantCulture, $"{index}.{part}");

    /// <summary>Takes tensors out of the caller's dispose scope: state outlives the step.</summary>
    private static Tensor[] Kept(Tensor[] tensors)
    {
        foreach (var tensor in tensors)
            tensor.DetachFromDisposeScope();
        return tensors;
    }

    private static void Free(Tensor[]?[] states)
    {
        foreach (var tensor in states.SelectMany(state => state ?? []))
            tensor.Dispose();
        Array.Clear(states);
    }

    /// <inheritdoc/>
    protected override void Dispose(bool disposing)
    {
        if (disposing)
            Free(states);
        base.Dispose(disposing);
    }
}
