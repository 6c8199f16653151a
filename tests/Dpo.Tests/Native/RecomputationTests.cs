using static TorchSharp.torch;

namespace Dpo.Tests;

[Collection(nameof(BackwardFailures))]
public class RecomputationTests
{
    [Fact]
    public void What_fails_when_it_is_computed_anew_is_thrown_after_the_backward_pass()
    {
        using var scope = NewDisposeScope();
        var input = ones(3).requires_grad_();
        var runs = 0;
        var output = Recomputation.Run(input, x => ++runs == 1 ? x * 2 : throw new InvalidOperationException("second run"));
        output.sum().backward();
        Assert.Equal("second run", Assert.Throws<InvalidOperationException>(BackwardFailure.Rethrow).Message);
        Assert.Equal([0, 0, 0], input.grad!.ToDoubles()); // what goes on to the passes behind it
    }

    [Fact]
    public void Gradients_are_those_of_the_segment_and_it_runs_twice()
    {
        using var scope = NewDisposeScope();
        var input = tensor([1f, 2f, 3f]).requires_grad_();
        var weight = tensor(5f).requires_grad_();
        var runs = 0;
        Recomputation.Run(input, x =>
        {
            runs++;
            return x * x * weight;
        }).sum().backward();
        Assert.Equal(2, runs);
        Assert.Equal([10, 20, 30], input.grad!.ToDoubles());
        Assert.Equal([14], weight.grad!.reshape(1).ToDoubles());
    }

    /// <summary>What fails later in the same pass often only follows from it.</summary>
    [Fact]
    public void The_first_of_several_failures_is_the_one_that_is_thrown()
    {
        using var scope = NewDisposeScope();
        var input = ones(3).requires_grad_();
        Tensor Failing(Tensor x, string message)
        {
            var runs = 0;
            return Recomputation.Run(x, y => ++runs == 1 ? y * 2 : throw new InvalidOperationException(message));
        }
        (Failing(input, "the other") + Failing(input, "one")).sum().backward();
        Assert.Equal("one", Assert.Throws<InvalidOperationException>(BackwardFailure.Rethrow).Message);
        BackwardFailure.Rethrow();
    }
}
