using TorchSharp.Modules;
using static TorchSharp.torch;

namespace Dpo.Tests;

public class RestorableOptimizerTests
{
    private static RestorableOptimizer Make(OptimizerKind kind, IReadOnlyList<Parameter> parameters) =>
        kind.Create(parameters, 1e-6, 0.1);

    [Theory]
    [InlineData(OptimizerKind.RmsProp)]
    [InlineData(OptimizerKind.AdamW)]
    public void Restored_from_a_file_it_goes_on_bit_for_bit(OptimizerKind kind)
    {
        using var scope = NewDisposeScope();
        using var folder = new TemporaryFolder();
        var uninterrupted = OptimizerRun.Parameters();
        using var optimizer = Make(kind, uninterrupted);
        OptimizerRun.Steps(optimizer, uninterrupted, 0, 3);
        SafetensorsWriter.Write(folder.File("optimizer.safetensors"), optimizer.State());
        Parameter[] resumed = [.. uninterrupted.Select(parameter => new Parameter(parameter.detach().clone()))];
        OptimizerRun.Steps(optimizer, uninterrupted, 3, 3);

        using var restored = Make(kind, resumed);
        using (var file = new SafetensorsReader(folder.File("optimizer.safetensors")))
            restored.LoadState(file.Names.Select(name => (name, file.Read(name))));
        OptimizerRun.Steps(restored, resumed, 3, 3);

        OptimizerRun.AssertSame(uninterrupted, resumed, 0);
        Assert.Equal(optimizer.State().Select(entry => entry.Name), restored.State().Select(entry => entry.Name));
        foreach (var (expected, actual) in optimizer.State().Zip(restored.State()))
            Assert.Equal(expected.Tensor.flatten().ToDoubles(), actual.Tensor.flatten().ToDoubles());
    }

    [Fact]
    public void Before_the_first_step_there_is_no_state_and_loading_none_starts_anew()
    {
        using var scope = NewDisposeScope();
        var parameters = OptimizerRun.Parameters();
        using var optimizer = Make(OptimizerKind.AdamW, parameters);
        Assert.Empty(optimizer.State());
        OptimizerRun.Steps(optimizer, parameters, 0, 1);
        Assert.Equal(3 * parameters.Length, optimizer.State().Count());
        optimizer.LoadState([]);
        Assert.Empty(optimizer.State());
    }

    [Theory]
    [InlineData("0.momentum", 4, "The optimizer state holds `0.momentum`, which FusedAdamW over 1 parameters does not have: restore it with the optimizer and the model that it was saved from.")]
    [InlineData("1.exp_avg", 4, "The optimizer state holds `1.exp_avg`, which FusedAdamW over 1 parameters does not have: restore it with the optimizer and the model that it was saved from.")]
    [InlineData("0.exp_avg", 5, "`0.exp_avg` of the optimizer state is Float32 [5], but its parameter needs Float32 [4]: restore it with the model that it was saved from.")]
    [InlineData("0.step", 1, "`0.step` of the optimizer state is Float32 [1], but its parameter needs Float32 []: restore it with the model that it was saved from.")]
    [InlineData("0.exp_avg", 4, "The optimizer state lacks `0.exp_avg_sq`: it was not saved whole.")]
    public void A_state_that_does_not_fit_is_refused_and_the_optimizer_left_as_it_was(string name, int length, string message)
    {
        using var scope = NewDisposeScope();
        var parameter = new Parameter(ones(4)) { grad = ones(4) };
        using var optimizer = Make(OptimizerKind.AdamW, [parameter]);
        optimizer.step();
        Assert.Equal(message, Assert.Throws<InvalidInputException>(() => optimizer.LoadState([(name, zeros(length))])).Message);
        Numbers.AssertClose([0.1, 0.1, 0.1, 0.1], optimizer.State().First().Tensor.ToDoubles(), 1e-7);
    }

    [Fact]
    public void A_state_in_another_precision_is_refused()
    {
        using var scope = NewDisposeScope();
        using var optimizer = Make(OptimizerKind.RmsProp, [new Parameter(ones(4))]);
        var exception = Assert.Throws<InvalidInputException>(() => optimizer.LoadState([("0.square_avg", zeros(4, bfloat16))]));
        Assert.StartsWith("`0.square_avg` of the optimizer state is BFloat16 [4], but its parameter needs Float32 [4]", exception.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Gradients_are_dropped_and_a_closure_runs_with_gradients_before_the_update()
    {
        using var scope = NewDisposeScope();
        var parameter = new Parameter(ones(3));
        using var optimizer = Make(OptimizerKind.RmsProp, [parameter]);
        parameter.grad = ones(3);
        optimizer.zero_grad();
        Assert.Null(parameter.grad);
        optimizer.ParamGroups.Single().LearningRate = 0.1;
        using (no_grad())
        {
            var loss = optimizer.step(() =>
            {
                var sum = (2 * parameter).sum();
                sum.backward();
                return sum;
            });
            Assert.Equal(6, loss!.item<float>());
        }
        Assert.Equal([2.0, 2, 2], parameter.grad!.ToDoubles());
        Numbers.AssertClose([0, 0, 0], parameter.detach().ToDoubles(), 1e-6);
    }
}
