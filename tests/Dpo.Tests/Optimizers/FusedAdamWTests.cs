using TorchSharp.Modules;
using static TorchSharp.torch;

namespace Dpo.Tests;

public class FusedAdamWTests
{
    [Theory]
    [InlineData(ScalarType.Float32, 0.1, 0.9, 0.999, 1e-8, 1e-6)]
    [InlineData(ScalarType.Float32, 0, 0.9, 0.999, 1e-8, 1e-6)]
    [InlineData(ScalarType.Float64, 0.1, 0.9, 0.999, 1e-8, 1e-14)]
    [InlineData(ScalarType.Float64, 0.1, 0.5, 0.95, 1e-2, 1e-14)]
    [InlineData(ScalarType.Float32, 0.1, 0, 0.9, 1e-3, 1e-6)]
    public void Updates_as_TorchSharps_does_and_decays_matrices_only(
        ScalarType dtype, double weightDecay, double beta1, double beta2, double epsilon, double tolerance)
    {
        using var scope = NewDisposeScope();
        var (theirs, ours) = (OptimizerRun.Parameters(dtype), OptimizerRun.Parameters(dtype));
        AdamW.ParamGroup Group(Func<Parameter, bool> member, double decay) =>
            new(theirs.Where(member), new AdamW.Options { LearningRate = 1, beta1 = beta1, beta2 = beta2, eps = epsilon, weight_decay = decay });
        using var expected = optim.AdamW([Group(parameter => parameter.dim() > 1, weightDecay), Group(parameter => parameter.dim() <= 1, 0)]);
        using var actual = new FusedAdamW(ours, weightDecay: weightDecay, beta1: beta1, beta2: beta2, epsilon: epsilon);
        OptimizerRun.Steps(expected, theirs, 0, 6);
        OptimizerRun.Steps(actual, ours, 0, 6);
        OptimizerRun.AssertSame(theirs, ours, tolerance);
    }

    [Theory]
    [InlineData(1, 0.9, 1e-8, "beta1")]
    [InlineData(0.9, -1, 1e-8, "beta2")]
    [InlineData(0.9, 0.9, -1e-8, "epsilon")]
    public void Constants_it_cannot_work_with_are_refused(double beta1, double beta2, double epsilon, string name) =>
        Assert.Equal(name, Assert.Throws<ArgumentOutOfRangeException>(() => new FusedAdamW([], 0.1, 0, beta1, beta2, epsilon)).ParamName);

    /// <summary>With a gradient that stays, the bias-corrected averages are g and g², and each step is lr · g / (|g| + ε).</summary>
    [Fact]
    public void Follows_the_closed_form_of_a_constant_gradient()
    {
        using var scope = NewDisposeScope();
        double[] gradients = [1e-8, 1e-6, 0.5, -2, 0, 30, -1e-8, 1e5, 3, -7, 11];
        var matrix = new Parameter(ones(1, gradients.Length));
        var vector = new Parameter(ones(gradients.Length));
        using var optimizer = new FusedAdamW([matrix, vector], 0.1, 0.5);
        matrix.grad = tensor(gradients, float32).unsqueeze(0);
        vector.grad = tensor(gradients, float32);
        var (decaying, constant) = (Enumerable.Repeat(1.0, gradients.Length).ToArray(), Enumerable.Repeat(1.0, gradients.Length).ToArray());
        for (var step = 0; step < 10; step++)
        {
            optimizer.step();
            foreach (var (index, gradient) in gradients.Index())
            {
                var update = 0.1 * gradient / (Math.Abs(gradient) + 1e-8);
                decaying[index] = decaying[index] * (1 - 0.1 * 0.5) - update;
                constant[index] -= update;
            }
        }
        Numbers.AssertClose(decaying, matrix.detach().flatten().ToDoubles(), 1e-5, "matrix");
        Numbers.AssertClose(constant, vector.detach().ToDoubles(), 1e-5, "vector");
    }

    /// <summary>PyTorch counts the steps of each parameter apart; bias correction depends on it.</summary>
    [Fact]
    public void A_parameter_without_a_gradient_stays_and_starts_when_it_has_one()
    {
        using var scope = NewDisposeScope();
        var (late, early) = (new Parameter(ones(2, 2)), new Parameter(ones(3)));
        using var optimizer = new FusedAdamW([late, early], 0.1, 0.5);
        early.grad = ones(3);
        optimizer.step();
        Assert.Equal([1, 1, 1, 1], late.detach().flatten().ToDoubles());
        Assert.Equal(["1.exp_avg", "1.exp_avg_sq", "1.step"], optimizer.State().Select(entry => entry.Name));
        late.grad = ones(2, 2);
        optimizer.step();
        Numbers.AssertClose([0.85, 0.85, 0.85, 0.85], late.detach().flatten().ToDoubles(), 1e-6);
        Assert.Equal([1f, 2f], optimizer.State().Select(entry => entry.Tensor).Where(tensor => tensor.dim() == 0).Select(tensor => tensor.item<float>()));
    }

    [Fact]
    public void A_gradient_laid_out_otherwise_is_read_by_its_strides()
    {
        using var scope = NewDisposeScope();
        var parameter = new Parameter(zeros(2, 3));
        parameter.grad = tensor(new float[,] { { 1, -1 }, { -1, 1 }, { 1, 1 } }).t();
        using var optimizer = new FusedAdamW([parameter], 0.5);
        optimizer.step();
        Numbers.AssertClose([-0.5, 0.5, -0.5, 0.5, -0.5, -0.5], parameter.detach().flatten().ToDoubles(), 1e-6);
    }

    [Fact]
    public void A_parameter_laid_out_otherwise_is_updated_by_its_strides()
    {
        using var scope = NewDisposeScope();
        var memory = zeros(3, 2);
        var parameter = new Parameter(memory.t()) { grad = tensor(new float[,] { { 1, -1, 1 }, { -1, 1, 1 } }) };
        using var optimizer = new FusedAdamW([parameter], 0.5);
        optimizer.step();
        optimizer.step();
        Assert.False(parameter.is_contiguous());
        Numbers.AssertClose([-1, 1, 1, -1, -1, -1], memory.flatten().ToDoubles(), 1e-6);
    }

    /// <summary>A model may hold weights of several types; the kernel takes one at a time.</summary>
    [Fact]
    public void Parameters_of_several_types_are_updated_each_in_its_own()
    {
        using var scope = NewDisposeScope();
        ScalarType[] types = [ScalarType.Float32, ScalarType.BFloat16, ScalarType.Float64, ScalarType.Float32];
        Parameter[] parameters = [.. types.Select(type => new Parameter(ones([2, 2], type, CPU)) { grad = full([2, 2], 3.0, type, CPU) })];
        using var optimizer = new FusedAdamW(parameters, 0.25, 0.5);
        optimizer.step();
        foreach (var (type, parameter) in types.Zip(parameters))
        {
            Assert.Equal(type, parameter.dtype);
            Numbers.AssertClose([0.625, 0.625, 0.625, 0.625], parameter.detach().flatten().ToDoubles(), 1e-6, $"{type}");
        }
    }
}
