using static TorchSharp.torch;

namespace Dpo.Tests;

[Collection(nameof(TensorCount))]
public class TensorCountTests
{
    [Fact]
    public void Tensors_and_memory_stay_flat_over_200_steps()
    {
        // What earlier tests left to the finalizers must not go while this one counts.
        GC.Collect();
        GC.WaitForPendingFinalizers();
        var data = TrainerTests.Data(16);
        using var pair = new PolicyReferencePair(new Gpt2(TrainerTests.Shape, seed: 5));
        using var trainer = new DpoTrainer(pair, options: TrainerTests.Options with { Steps = 230 });
        var (tensors, memory) = (new List<long>(), new List<long>());
        trainer.Train(data, progress: new TrainerTests.Callback(_ =>
        {
            tensors.Add(Tensor.TotalCount);
            memory.Add(Environment.WorkingSet);
        }));
        // The first steps make the optimizer's state and warm the allocators up.
        Assert.Equal(tensors[29], tensors[^1]);
        Assert.True(memory[^1] < memory[29] + (64 << 20), $"{memory[29]} grew to {memory[^1]}");
    }

    [Fact]
    public void Sampling_leaves_no_tensor_behind()
    {
        using var model = new Gpt2(TrainerTests.Shape);
        void Sample() => Sampler.Sample(model, [[1, 2, 3], [4], [2, 2]], 8, endOfTextId: 0, seed: 5);
        Sample();
        TensorCount.AssertFlat(Sample);
    }
}
