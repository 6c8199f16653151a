using Dpo.Models;
using Dpo.Native;
using TorchSharp;
using TorchSharp.Modules;
using static TorchSharp.torch;

namespace Dpo.Optimizers;

/// <summary>The parameters of a model that are trained, as they were at one moment: pair, trainer and every step must mean the
/// same ones.</summary>
internal sealed class TrainedParameters
{
    private readonly CausalLanguageModel model;
    private readonly (string Name, nint Identity)[] then;

    /// <summary>Takes those that require a gradient now.</summary>
    /// <exception cref="InvalidOperationException">Two share their memory, but are not one.</exception>
    public TrainedParameters(CausalLanguageModel model)
    {
        this.model = model;
        All = [.. Now(model)];
        then = Identities(All);
        RequireMemoryOfTheirOwn();
    }

    /// <summary>The parameters, each once, by their first names.</summary>
    public IReadOnlyList<(string Name, Parameter Parameter)> All { get; }

    /// <summary>The same without their names.</summary>
    public IReadOnlyList<Parameter> Parameters => field ??= [.. All.Select(trained => trained.Parameter)];

    /// <summary>Refuses a model that trains others by now.</summary>
    /// <param name="since">What was made of these, such as <c>pair</c>.</param>
    /// <exception cref="InvalidOperationException">A parameter was added, frozen, unfrozen or replaced.</exception>
    public void RequireUnchanged(string since)
    {
        var now = Identities(Now(model)).ToHashSet();
        var news = now.Except(then).Select(trained => $"{trained.Name} is trained now").ToArray();
        // A parameter that was disposed may have left its place to another.
        var gone = All.Zip(then).Where(trained => trained.First.Parameter.IsInvalid || !now.Contains(trained.Second))
            .Select(trained => $"{trained.Second.Name} is not what was trained").ToArray();
        if (news.Length + gone.Length == 0)
            return;
        string[] changes = [.. news.Take(1), .. gone.Take(1)];
        var more = news.Length + gone.Length - changes.Length;
        throw new InvalidOperationException(
            $"What is trained changed after the {since} was made: {string.Join(", ", changes)}" +
            $"{(more > 0 ? $", and {more} more" : "")}; add or load adapters, freeze weights and move the model " +
            $"before the {since} is made.");
    }

    /// <summary>Refuses an optimizer that would miss a parameter, or update one twice.</summary>
    /// <exception cref="ArgumentException">It does; the message names the parameter.</exception>
    public void RequireIn(optim.Optimizer optimizer)
    {
        nint[] all = [.. optimizer.parameters().Select(TensorMemory.Identity)];
        var held = all.ToHashSet();
        if (held.Count < all.Length)
            throw new ArgumentException(
                "The optimizer holds a parameter twice and would update it twice in every step; " +
                "give it the model's parameters(), which has a tied weight once.",
                nameof(optimizer));
        if (then.FirstOrDefault(trained => !held.Contains(trained.Identity)) is { Name: { } missing })
            throw new ArgumentException(
                $"The optimizer does not hold {missing}, which is trained; make it of all parameters that require a gradient, " +
                "after adapters were added and the model was moved, and freeze what is not to change.", nameof(optimizer));
    }

    /// <summary>Two parameters over one memory would each be counted, copied and updated by itself. On other devices than the CPU
    /// addresses are not to be had.</summary>
    private void RequireMemoryOfTheirOwn()
    {
        using var noGrad = no_grad();
        foreach (var shared in All
            .Where(trained => trained.Parameter.device_type == DeviceType.CPU && trained.Parameter.numel() > 0)
            .GroupBy(trained => Address(trained.Parameter)).Where(group => group.Count() > 1))
        {
            throw new InvalidOperationException(
                $"The parameters {string.Join(" and ", shared.Select(trained => trained.Name))} share their memory " +
                "but not their gradient; tie weights by giving the modules the same parameter.");
        }

        static unsafe nint Address(Tensor tensor) => (nint)TensorMemory.Start<byte>(tensor);
    }

    private static IEnumerable<(string Name, Parameter Parameter)> Now(CausalLanguageModel model) =>
        model.named_parameters().Where(named => named.parameter.requires_grad);

    private static (string Name, nint Identity)[] Identities(IEnumerable<(string Name, Parameter Parameter)> trained) =>
        [.. trained.Select(named => (named.Name, TensorMemory.Identity(named.Parameter)))];
}
