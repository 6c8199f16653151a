using static TorchSharp.torch;

namespace Dpo.Tests;

public class OptimizerResourceTests
{
    [Theory]
    [InlineData(OptimizerKind.RmsProp, 1)]
    [InlineData(OptimizerKind.AdamW, 3)]
    public void State_outlives_scopes_and_is_freed_with_the_optimizer(OptimizerKind kind, int perParameter)
    {
        using var scope = NewDisposeScope();
        var parameters = OptimizerRun.Parameters();
        TensorCount.AssertFlat(() =>
        {
            using var optimizer = kind.Create(parameters, 1e-3);
            OptimizerRun.Steps(optimizer, parameters, 0, 1);
            var before = Tensor.TotalCount;
            OptimizerRun.Steps(optimizer, parameters, 1, 5);
            Assert.Equal(before, Tensor.TotalCount);
            Assert.Equal(perParameter * parameters.Length, optimizer.State().Count());
            using (NewDisposeScope())
                optimizer.LoadState(optimizer.State().Select(entry => (entry.Name, entry.Tensor.clone())));
            Assert.Throws<InvalidInputException>(() => optimizer.LoadState(optimizer.State().Append(("unknown", parameters[0]))));
            OptimizerRun.Steps(optimizer, parameters, 6, 1);
            Assert.Equal(before, Tensor.TotalCount);
        });
    }

    [Fact]
    public void The_number_of_threads_changes_no_bit()
    {
        static double[] Run(int threads)
        {
            using var scope = NewDisposeScope();
            set_num_threads(threads);
            var parameters = OptimizerRun.Parameters();
            using var optimizer = new RmsProp(parameters);
            OptimizerRun.Steps(optimizer, parameters, 0, 3);
            var norm = GradientNorm.Clip(parameters, 1e-3).item<double>();
            return [norm, .. parameters.SelectMany(parameter => parameter.detach().flatten().ToDoubles().Concat(parameter.grad!.flatten().ToDoubles()))];
        }
        var before = get_num_threads();
        try
        {
            Assert.Equal(Run(1), Run(3));
        }
        finally
        {
            set_num_threads(before);
        }
    }
}
