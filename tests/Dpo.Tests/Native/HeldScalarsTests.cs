using Mono.Cecil;
using Mono.Cecil.Cil;
using TorchSharp;
using static TorchSharp.torch;

namespace Dpo.Tests;

/// <summary>No number reaches native code in the library that nothing holds: read from the compiled code, since neither C#'s compound
/// assignments nor what TorchSharp's methods do inside is seen by the analyzer that bans the rest.</summary>
public sealed class HeldScalarsTests : IDisposable
{
    private readonly DisposeScope scope = NewDisposeScope();

    public void Dispose() => scope.Dispose();

    [Fact]
    public void Each_operation_gives_what_its_operator_gives()
    {
        var x = tensor([-1.5f, 0.25f, 3]);
        var y = tensor([2f, -4, 0.5f]);
        void Same(Tensor expected, Tensor actual)
        {
            Assert.Equal(expected.dtype, actual.dtype);
            Assert.Equal(expected.ToDoubles(), actual.ToDoubles());
        }

        Same(x + y, x.Plus(y));
        Same(x + 0.3, x.Plus(0.3));
        Same(x + 2, x.Plus(2));
        Same(x - 0.3, x.Minus(0.3));
        Same(x - 2, x.Minus(2));
        Same(1 - x, x.OneMinus());
        Same(x * 0.3, x.Times(0.3));
        Same(x * 2, x.Times(2));
        Same(x / 0.3, x.DividedBy(0.3));
        Same(x.square(), x.Squared());
        Same(x.clamp_min(0.1), x.AtLeast(0.1));
        Same(x.clamp_max(0.1), x.AtMost(0.1));
        Same(x + y, x.clone().AddInPlace(y));
        Same(x + 0.3, x.clone().AddInPlace(0.3));
        Same(x * 0.3, x.clone().MultiplyInPlace(0.3));
        Same(x / 0.3, x.clone().DivideInPlace(0.3));
        Same(full_like(x, 7), x.clone().FillInPlace(7));
        Same(x.lt(1), x.Below(1));
        Same(x.masked_fill(x.lt(0), 9), x.Masked(x.Below(0), 9));
        Same(zeros(3).index_add_(0, tensor([2L, 0, 2]), x, 1), zeros(3).AddRowsInPlace(tensor([2L, 0, 2]), x));
        Same(arange(5), HeldScalars.Range(5, CPU));
        var whole = tensor([1L, 2, 3]);
        Same(whole + 1, whole.Plus(1));
        Same(whole - 1, whole.Minus(1));
        Same(whole * 3, whole.Times(3));
        Same(1 - whole, whole.OneMinus());
        Same(whole + 1, whole.clone().AddInPlace(1));
    }

    [Fact]
    public void Gradients_flow_through_them()
    {
        var x = tensor([-1.5, 0.25, 3], requires_grad: true);
        x.Times(2).Minus(1).Squared().OneMinus().DividedBy(4).Plus(x).AtMost(2).AtLeast(-100).sum().backward();
        // d/dx (1 − (2x − 1)²)/4 + x = 1 − (2x − 1), while nothing is clamped.
        Assert.Equal([5.0, 1.5, -4], x.grad!.data<double>().ToArray());
    }

    [Fact]
    public void A_null_tensor_is_named()
    {
        Assert.Equal("x", Assert.Throws<ArgumentNullException>(() => HeldScalars.Times(null!, 2)).ParamName);
    }

    [Fact]
    public void No_call_of_the_library_makes_a_scalar_that_nothing_holds()
    {
        using var torchSharp = ModuleDefinition.ReadModule(typeof(torch).Assembly.Location);
        var makers = MethodsThatMakeScalars(torchSharp);
        Assert.Contains(makers, name => name.Contains("::op_Addition(TorchSharp.torch/Tensor,TorchSharp.torch/Tensor)", StringComparison.Ordinal));

        using var library = ModuleDefinition.ReadModule(typeof(DpoLoss).Assembly.Location);
        var unheld =
            from method in Methods(library)
            from called in Calls(method)
            where makers.Contains(called)
            // The optimizers give their scripts scalars that they hold.
            where !called.Contains("CompilationUnit::invoke(", StringComparison.Ordinal)
            select $"{method.FullName} calls {called}";
        Assert.Empty(unheld);
    }

    /// <summary>TorchSharp makes tensors of numbers by conversion too, and puts them on the default device.</summary>
    [Fact]
    public void No_number_of_the_library_becomes_a_tensor_by_conversion()
    {
        using var library = ModuleDefinition.ReadModule(typeof(DpoLoss).Assembly.Location);
        var converted =
            from method in Methods(library)
            from called in Calls(method)
            where called.StartsWith("TorchSharp.torch/Tensor TorchSharp.torch/Tensor::op_Implicit(", StringComparison.Ordinal)
            select $"{method.FullName} calls {called}";
        Assert.Empty(converted);
    }

    [Fact]
    public void Every_scalar_of_the_library_is_held_by_using_or_by_a_static_field()
    {
        using var library = ModuleDefinition.ReadModule(typeof(DpoLoss).Assembly.Location);
        var methods = Methods(library).Where(method => Calls(method).Any(IsToScalar)).ToArray();
        Assert.NotEmpty(methods);
        var unheld =
            from method in methods
            where !method.IsConstructor || !method.IsStatic
            let made = Calls(method).Count(IsToScalar)
            let disposed = method.Body.ExceptionHandlers.Count(handler => handler.HandlerType == ExceptionHandlerType.Finally)
            where disposed < made
            select $"{method.FullName} makes {made} and disposes of {disposed}";
        Assert.Empty(unheld);
    }

    private static HashSet<string> MethodsThatMakeScalars(ModuleDefinition torchSharp)
    {
        var calls = Methods(torchSharp)
            .Where(method => method.DeclaringType.FullName != "TorchSharp.Scalar" && method.DeclaringType.Name != nameof(ScalarExtensionMethods))
            .Select(method => (method.FullName, Calls: Calls(method).ToHashSet())).ToArray();
        // Conversions, whoever calls them; then every method that calls one, directly or through others.
        var makers = Methods(torchSharp).Where(method => method.DeclaringType.FullName == "TorchSharp.Scalar" && method.Name == "op_Implicit")
            .Select(method => method.FullName).ToHashSet();
        while (calls.Where(method => !makers.Contains(method.FullName) && method.Calls.Any(called => makers.Contains(called) || IsToScalar(called)))
            .Select(method => method.FullName).ToArray() is { Length: > 0 } more)
            makers.UnionWith(more);
        return makers;
    }

    private static IEnumerable<MethodDefinition> Methods(ModuleDefinition module) =>
        module.GetTypes().SelectMany(type => type.Methods).Where(method => method.HasBody);

    private static IEnumerable<string> Calls(MethodDefinition method) =>
        method.Body.Instructions.Select(instruction => instruction.Operand).OfType<MethodReference>()
            .Select(called => (called is GenericInstanceMethod generic ? generic.ElementMethod : called).FullName);

    private static bool IsToScalar(string called) => called.Contains("ScalarExtensionMethods::ToScalar(", StringComparison.Ordinal);
}
