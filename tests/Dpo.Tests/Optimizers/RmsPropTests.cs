using TorchSharp.Modules;
using static TorchSharp.torch;

namespace Dpo.Tests;

public class RmsPropTests
{
    [Theory]
    [InlineData(ScalarType.Float32, 0.99, 1e-8, 1e-6)]
    [InlineData(ScalarType.Float64, 0.99, 1e-8, 1e-14)]
    [InlineData(ScalarType.Float32, 0.5, 0.1, 1e-6)]
    [InlineData(ScalarType.Float64, 0, 1e-3, 1e-14)]
    public void Updates_as_TorchSharps_does(ScalarType dtype, double alpha, double epsilon, double tolerance)
    {
        using var scope = NewDisposeScope();
        var (theirs, ours) = (OptimizerRun.Parameters(dtype), OptimizerRun.Parameters(dtype));
        using var expected = optim.RMSProp(theirs, 0.01, alpha: alpha, eps: epsilon);
        using var actual = new RmsProp(ours, alpha: alpha, epsilon: epsilon);
        OptimizerRun.Steps(expected, theirs, 0, 6);
        OptimizerRun.Steps(actual, ours, 0, 6);
        OptimizerRun.AssertSame(theirs, ours, tolerance);
    }

    [Theory]
    [InlineData(1, 1e-8, "alpha")]
    [InlineData(-0.1, 1e-8, "alpha")]
    [InlineData(double.NaN, 1e-8, "alpha")]
    [InlineData(0.9, 0, "epsilon")]
    [InlineData(0.9, double.PositiveInfinity, "epsilon")]
    public void Constants_it_cannot_work_with_are_refused(double alpha, double epsilon, string name) =>
        Assert.Equal(name, Assert.Throws<ArgumentOutOfRangeException>(() => new RmsProp([], 0.1, alpha, epsilon)).ParamName);

    /// <summary>With a gradient that stays, v after n steps is (1 − αⁿ)g².</summary>
    [Fact]
    public void Follows_the_closed_form_of_a_constant_gradient()
    {
        using var scope = NewDisposeScope();
        double[] gradients = [1e-9, 1e-6, 0.5, -2, 0, 30, -1e-8, 1e5, 3, -7, 11];
        var parameter = new Parameter(zeros(gradients.Length));
        using var optimizer = new RmsProp([parameter], 0.1);
        parameter.grad = tensor(gradients, float32);
        var expected = new double[gradients.Length];
        for (var step = 1; step <= 20; step++)
        {
            optimizer.step();
            foreach (var (index, gradient) in gradients.Index())
                expected[index] -= 0.1 * gradient / (Math.Sqrt((1 - Math.Pow(0.99, step)) * gradient * gradient) + 1e-8);
        }
        Numbers.AssertClose(expected, parameter.detach().ToDoubles(), 2e-6);
        var (name, squareAverage) = Assert.Single(optimizer.State());
        Assert.Equal("0.square_avg", name);
        foreach (var (gradient, actual) in gradients.Zip(squareAverage.ToDoubles()))
            Assert.Equal((1 - Math.Pow(0.99, 20)) * gradient * gradient, actual, gradient * gradient * 1e-6);
    }

    /// <summary>A transposed parameter or gradient is no plain run of memory, so tensor operations update it.</summary>
    [Theory]
    [InlineData(true, false)]
    [InlineData(false, true)]
    public void Strides_do_not_matter(bool parameterIsTransposed, bool gradientIsTransposed)
    {
        using var scope = NewDisposeScope();
        static Tensor Laid(Tensor tensor, bool transposed) => transposed ? tensor.t().contiguous().t() : tensor;
        var (start, gradient) = (randn(5, 9), randn(5, 9));
        var plain = new Parameter(start.clone());
        var strided = new Parameter(Laid(start.clone(), parameterIsTransposed));
        using var expected = new RmsProp([plain]);
        using var actual = new RmsProp([strided]);
        plain.grad = gradient;
        strided.grad = Laid(gradient, gradientIsTransposed);
        for (var step = 0; step < 3; step++)
        {
            expected.step();
            actual.step();
        }
        Assert.Equal(!parameterIsTransposed, strided.is_contiguous());
        OptimizerRun.AssertSame([plain], [strided], 1e-6);
        Numbers.AssertClose(
            expected.State().Single().Tensor.flatten().ToDoubles(), actual.State().Single().Tensor.flatten().ToDoubles(), 1e-6, "state");
    }

    /// <summary>Parameters that are updated together are bounded, and one that is larger is cut: 3 holds none but the smallest, 30 two of
    /// them, and a row of the largest is 431.</summary>
    [Theory]
    [InlineData(3)]
    [InlineData(30)]
    [InlineData(1000)]
    public void What_is_updated_at_once_changes_no_bit(int elements)
    {
        using var scope = NewDisposeScope();
        var (whole, cut) = (OptimizerRun.Parameters(ScalarType.Float64), OptimizerRun.Parameters(ScalarType.Float64));
        using var expected = new RmsProp(whole);
        using var actual = new RmsProp(cut) { ElementsAtOnce = elements };
        OptimizerRun.Steps(expected, whole, 0, 2);
        OptimizerRun.Steps(actual, cut, 0, 2);
        OptimizerRun.AssertSame(whole, cut, 0);
    }

    [Fact]
    public void Parameters_of_several_types_are_updated_each_in_its_own()
    {
        using var scope = NewDisposeScope();
        ScalarType[] types = [ScalarType.Float32, ScalarType.BFloat16, ScalarType.Float64, ScalarType.Float32];
        Parameter[] parameters = [.. types.Select(type => new Parameter(ones([2, 2], type, CPU)) { grad = full([2, 2], 3.0, type, CPU) })];
        using var optimizer = new RmsProp(parameters, 0.05);
        optimizer.step();
        foreach (var (type, parameter) in types.Zip(parameters))
        {
            Assert.Equal(type, parameter.dtype);
            // The first step is lr · g / √(0.01 g²).
            Numbers.AssertClose([0.5, 0.5, 0.5, 0.5], parameter.detach().flatten().ToDoubles(), type == ScalarType.BFloat16 ? 1e-2 : 1e-6, $"{type}");
        }
    }

    /// <summary>Parameters that are parts of other tensors are updated as if they were alone, and nothing beside them.</summary>
    [Theory]
    [InlineData(OptimizerKind.RmsProp)]
    [InlineData(OptimizerKind.AdamW)]
    public void A_part_of_another_tensor_is_updated_and_its_neighbours_are_not(OptimizerKind kind)
    {
        using var scope = NewDisposeScope();
        var alone = OptimizerRun.Parameters();
        var (inOne, whole) = OptimizerRun.InOneTensor(alone);
        var (inLarger, surroundings) = OptimizerRun.InLargerTensors(alone);
        foreach (var parameters in (Parameter[][])[alone, inOne, inLarger])
        {
            using var optimizer = kind.Create(parameters, 1e-3, 0.1);
            OptimizerRun.Steps(optimizer, parameters, 0, 3);
        }
        OptimizerRun.AssertSame(alone, inOne, 1e-6);
        OptimizerRun.AssertSame(alone, inLarger, 1e-6);
        // What is left of the larger tensors without their parts.
        static double Sum(IEnumerable<Tensor> tensors) => tensors.Sum(tensor => tensor.to(float64).sum().item<double>());
        var parts = Sum(alone.Select(parameter => parameter.detach()));
        Numbers.AssertClose(alone.Length + 1, Sum([whole]) - parts, 1e-6, "in one tensor");
        Numbers.AssertClose(surroundings.Sum(tensor => tensor.numel()) - alone.Sum(parameter => parameter.numel()), Sum(surroundings) - parts, 1e-6, "in larger ones");
    }
}
