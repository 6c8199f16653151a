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

    [Theory]
    [InlineData(ScalarType.Float32)]
    [InlineData(ScalarType.Float64)]
    public void Scales_as_torch_does_where_the_norm_exceeds_the_maximum(ScalarType dtype)
    {
        using var scope = NewDisposeScope();
        var (theirs, ours) = (WithGradients(dtype), WithGradients(dtype));
        var norm = GradientNorm.Clip(ours, 3);
        var expected = nn.utils.clip_grad_norm_(theirs, 3);
        Numbers.AssertClose(expected, norm, 1e-5, "norm");
        foreach (var (one, other) in theirs.Zip(ours).Take(4))
            Numbers.AssertClose(one.grad!.flatten().ToDoubles(), other.grad!.flatten().ToDoubles(), 1e-6);
        Assert.All(ours[4..], parameter => Assert.Null(parameter.grad));
        Numbers.AssertClose(3, GradientNorm.Clip(ours, double.PositiveInfinity), 1e-5, "clipped");
    }

    [Fact]
    public void Gradients_within_the_maximum_keep_their_bits()
    {
        using var scope = NewDisposeScope();
        var parameters = WithGradients(ScalarType.Float32);
        var squares = parameters[..4].Sum(parameter => parameter.ToDoubles().Sum(value => value * value));
        Numbers.AssertClose(Math.Sqrt(squares), GradientNorm.Clip(parameters, 1e3), 1e-12);
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
        Assert.Equal(expected, GradientNorm.Clip([parameter], 1));
    }
}
