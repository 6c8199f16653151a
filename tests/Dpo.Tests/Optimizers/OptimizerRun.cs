using TorchSharp.Modules;
using static TorchSharp.torch;

namespace Dpo.Tests;

/// <summary>Parameters with made-up gradients, so that two optimizers can be compared step by step.</summary>
internal static class OptimizerRun
{
    /// <summary>Several chunks with a remainder, vectors, a scalar, and nothing at all.</summary>
    private static readonly long[][] shapes = [[300, 431], [7], [3, 5, 2], [], [0, 4], [1]];

    public static Parameter[] Parameters(ScalarType dtype = ScalarType.Float32)
    {
        using var random = new Generator(1);
        return [.. shapes.Select(shape => new Parameter(randn(shape, dtype, generator: random)))];
    }

    /// <summary>Steps numbered from <paramref name="first"/>; each has gradients and a learning rate of its own.</summary>
    public static void Steps(optim.Optimizer optimizer, IReadOnlyList<Parameter> parameters, int first, int count)
    {
        for (var step = first; step < first + count; step++)
        {
            using var scope = NewDisposeScope();
            using var random = new Generator((ulong)(100 + step));
            optimizer.zero_grad();
            foreach (var parameter in parameters)
                parameter.grad = randn(parameter.shape, parameter.dtype, generator: random) * Math.Pow(10, -step);
            foreach (var group in optimizer.ParamGroups)
                group.LearningRate = 0.01 * (step + 1);
            optimizer.step();
        }
    }

    /// <summary>Copies of parameters, each in the middle of a tensor of ones that is larger in every dimension: no run of memory.</summary>
    public static (Parameter[] Parameters, Tensor[] Surroundings) InLargerTensors(IReadOnlyList<Parameter> parameters)
    {
        var surroundings = parameters.Select(parameter => ones(parameter.shape.Select(size => size + 3).ToArray(), parameter.dtype)).ToArray();
        var inside = parameters.Zip(surroundings, (parameter, larger) =>
        {
            foreach (var (dimension, size) in parameter.shape.Index())
                larger = larger.narrow(dimension, 2, size);
            larger.copy_(parameter.detach());
            return new Parameter(larger.detach());
        });
        return ([.. inside], surroundings);
    }

    /// <summary>Copies of parameters, one behind the other in one tensor, with a one before and behind each: runs of memory that do not
    /// begin where their storage does.</summary>
    public static (Parameter[] Parameters, Tensor Whole) InOneTensor(IReadOnlyList<Parameter> parameters)
    {
        var whole = ones(parameters.Sum(parameter => parameter.numel() + 1) + 1, parameters[0].dtype);
        var start = 1L;
        return ([.. parameters.Select(parameter =>
        {
            var part = whole.narrow(0, start, parameter.numel());
            part.copy_(parameter.detach().flatten());
            start += parameter.numel() + 1;
            return new Parameter(part.view(parameter.shape));
        })], whole);
    }

    public static void AssertSame(IReadOnlyList<Parameter> expected, IReadOnlyList<Parameter> actual, double tolerance)
    {
        foreach (var (index, (one, other)) in expected.Zip(actual).Index())
            Numbers.AssertClose(one.detach().flatten().ToDoubles(), other.detach().flatten().ToDoubles(), tolerance, $"parameter {index}");
    }
}
