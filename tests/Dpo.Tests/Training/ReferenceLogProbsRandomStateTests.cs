using static TorchSharp.torch;

namespace Dpo.Tests;

/// <summary>Runs alone, since torch's default generator is the whole process's.</summary>
public class ReferenceLogProbsRandomStateTests
{
    [Fact]
    public void Random_state_and_the_order_of_data_stay_as_they_were()
    {
        using var scope = NewDisposeScope();
        using var pair = new PolicyReferencePair(new Gpt2(TrainerTests.Shape));
        var data = TrainerTests.Data(20);
        string[] Order(PreferenceData from) =>
            [.. from.Batches(4, seed: 3, epoch: 1).SelectMany(batch => batch.Examples.Select(example => example.Source!))];
        byte[] State() => Generator.Default.get_state().data<byte>().ToArray();
        var order = Order(data);
        manual_seed(3);
        var state = State();

        var computed = ReferenceLogProbs.Compute(pair, data);

        Assert.Equal(state, State());
        Assert.Equal(order, Order(computed));
        Assert.Equal(order, Order(data));
        using var drawn = rand(1); // what is compared does change with every draw
        Assert.NotEqual(state, State());
    }
}
