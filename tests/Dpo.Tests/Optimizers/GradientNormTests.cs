using TorchSharp.Modules;
using static TorchSharp.torch;

namespace Dpo.Tests;

public class GradientNormTests
{
    private static Parameter[] WithGradients(ScalarType dtype)
    {
        var parameters = OptimizerRun.Parameters(dtype);
        foreach (var parameter in parameters[..4])
            parameter.grad = parameter.detach().clone();
        return parameters;
    }

    private static double Clip(IReadOnlyList<Parameter> parameters, double maximum) => GradientNorm.Clip(parameters, maximum).item<double>();

    [Theory]
    [InlineData(ScalarType.Float32)]
    [InlineData(ScalarType.Float64)]
    public void Scales_as_torch_does_where_the_norm_exceeds_the_maximum(ScalarType dtype)
    {
        using var scope = NewDisposeScope();
        var (theirs, ours) = (WithGradients(dtype), WithGradients(dtype));
        var norm = Clip(ours, 3);
        var expected = nn.utils.clip_grad_norm_(theirs, 3);
        Numbers.AssertClose(expected, norm, 1e-5, "norm");
        foreach (var (one, other) in theirs.Zip(ours).Take(4))
            Numbers.AssertClose(one.grad!.flatten().ToDoubles(), other.grad!.flatten().ToDoubles(), 1e-6);
        Assert.All(ours[4..], parameter => Assert.Null(parameter.grad));
        Numbers.AssertClose(3, Clip(ours, double.PositiveInfinity), 1e-5, "clipped");
    }

    /// <summary>Far within it, and by a little.</summary>
    [Theory]
    [InlineData(ScalarType.Float32, 1000)]
    [InlineData(ScalarType.Float32, 1.01)]
    [InlineData(ScalarType.Float64, 1000)]
    [InlineData(ScalarType.Float64, 1.01)]
    public void Gradients_within_the_maximum_keep_their_bits(ScalarType dtype, double times)
    {
        using var scope = NewDisposeScope();
        var parameters = WithGradients(dtype);
        var norm = Math.Sqrt(parameters[..4].Sum(parameter => parameter.ToDoubles().Sum(value => value * value)));
        Numbers.AssertClose(norm, Clip(parameters, times * norm), 1e-12);
        Assert.All(parameters[..4], parameter => Assert.Equal(parameter.ToDoubles(), parameter.grad!.ToDoubles()));
    }

    [Theory]
    [InlineData(float.NaN, double.NaN)]
    [InlineData(float.NegativeInfinity, double.PositiveInfinity)]
    public void A_gradient_that_is_not_finite_shows_in_the_norm(float value, double expected)
    {
        using var scope = NewDisposeScope();
        var parameter = new Parameter(ones(100));
        parameter.grad = ones(100);
        parameter.grad[99] = value;
        Assert.Equal(expected, Clip([parameter], 1));
    }

    /// <summary>Autograd hands out parts of one tensor as the gradients of what was joined.</summary>
    [Theory]
    [InlineData(0)]
    [InlineData(1)]
    public void Parameters_that_are_joined_have_the_norm_of_their_gradients_and_are_scaled_by_it(int dimension)
    {
        using var scope = NewDisposeScope();
        using var random = new Generator(3);
        Parameter[] joined = [.. Enumerable.Range(0, 3).Select(_ => new Parameter(randn([4, 4], generator: random)))];
        var scale = randn(dimension == 0 ? [12, 4] : [4, 12], generator: random);
        (cat(joined, dimension) * scale).sum().backward();
        if (dimension == 0)
            Assert.Contains(joined, parameter => parameter.grad!.storage_offset() > 0);

        Numbers.AssertClose(scale.to(float64).norm().item<double>(), Clip(joined, 2), 1e-6, "norm");
        var expected = scale * (2 / (scale.norm() + 1e-6));
        Numbers.AssertClose(
            expected.flatten().ToDoubles(), cat([.. joined.Select(parameter => parameter.grad!)], dimension).flatten().ToDoubles(), 1e-6, "gradients");
    }

    [Fact]
    public void Gradients_inside_another_tensor_leave_it_alone()
    {
        using var scope = NewDisposeScope();
        var (gradients, whole) = OptimizerRun.InOneTensor(OptimizerRun.Parameters());
        Parameter[] parameters = [.. gradients.Where(gradient => gradient.numel() > 0).Select(gradient => new Parameter(zeros_like(gradient)) { grad = gradient.detach() })];
        var expected = whole.clone();
        var norm = gradients.Sum(gradient => gradient.detach().flatten().ToDoubles().Sum(value => value * value));
        Numbers.AssertClose(Math.Sqrt(norm), Clip(parameters, 1), 1e-9, "norm");
        var start = 0L;
        foreach (var gradient in gradients)
        {
            Assert.Equal(1, whole[start].item<float>());
            expected.narrow(0, start + 1, gradient.numel()).mul_(1 / Math.Sqrt(norm));
            start += gradient.numel() + 1;
        }
        Assert.Equal(1, whole[start].item<float>());
        Numbers.AssertClose(expected.ToDoubles(), whole.ToDoubles(), 1e-6);
    }

    /// <summary>PyTorch divides by norm + 1e-6, which shows where gradients are tiny.</summary>
    [Theory]
    [InlineData(ScalarType.Float32)]
    [InlineData(ScalarType.Float64)]
    public void A_millionth_is_added_to_the_norm_as_torch_does(ScalarType dtype)
    {
        using var scope = NewDisposeScope();
        var parameter = new Parameter(zeros(1, dtype)) { grad = full([1], 3e-6, dtype, CPU) };
        Numbers.AssertClose(3e-6, Clip([parameter], 1e-6), 1e-12, "norm");
        Assert.Equal(0.75e-6, parameter.grad.to(float64).item<double>(), 1e-12);
    }

    [Fact]
    public void Gradients_of_several_types_have_one_norm()
    {
        using var scope = NewDisposeScope();
        Parameter[] parameters = [.. new[] { (3, float32), (6, float64) }.Select(size => new Parameter(zeros(size.Item1, size.Item2)) { grad = ones(size.Item1, size.Item2) })];
        Numbers.AssertClose(3, Clip(parameters, 1.5), 1e-12, "norm");
        Assert.All(parameters, parameter => Assert.All(parameter.grad!.ToDoubles(), value => Assert.Equal(0.5, value, 1e-6)));
    }
}
