using static TorchSharp.torch;

namespace Dpo.Tests;

public class FusedRmsNormTests
{
    [Fact]
    public void Values_and_gradients_are_those_of_the_formula()
    {
        using var scope = NewDisposeScope();
        using var generator = new Generator(3);
        var (x, gain) = (randn([5, 3, 16], generator: generator, dtype: float64, requires_grad: true), randn([16], generator: generator, dtype: float64, requires_grad: true));
        var weights = randn([5, 3, 16], generator: generator, dtype: float64);

        double[][] Run(Func<Tensor> norm)
        {
            (x.grad, gain.grad) = (null, null);
            var output = norm();
            (output * weights).sum().backward();
            return [output.flatten().ToDoubles(), x.grad!.flatten().ToDoubles(), gain.grad!.ToDoubles()];
        }

        var expected = Run(() => x / (x * x).mean([-1L], keepdim: true).add(0.3).sqrt() * gain);
        var actual = Run(() => FusedRmsNorm.Apply(x, gain, 0.3));
        foreach (var (one, other) in expected.Zip(actual))
            Numbers.AssertClose(one, other, 1e-12);
    }
}
