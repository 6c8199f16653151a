using static TorchSharp.torch;

namespace Dpo.Tests;

/// <summary>What depends on the device, on an NVIDIA GPU; skipped where there is none.</summary>
public class CudaTests
{
    [CudaTheory]
    [MemberData(nameof(TrajectoryTests.Runs), MemberType = typeof(TrajectoryTests))]
    public void Every_step_equals_TRLs(string run) => TrajectoryTests.Replay(run, CUDA);

    [CudaTheory]
    [MemberData(nameof(Architectures.Folders), MemberType = typeof(Architectures))]
    public void Log_probabilities_equal_transformers(string folder) => ArchitectureTests.AssertLogProbabilities(folder, "config.json", CUDA);

    [CudaTheory]
    [MemberData(nameof(Architectures.Folders), MemberType = typeof(Architectures))]
    public void BFloat16_stays_near_float32(string folder) => ArchitectureTests.AssertBFloat16(folder, CUDA);

    [CudaTheory]
    [MemberData(nameof(Architectures.Folders), MemberType = typeof(Architectures))]
    public void A_step_of_DPO_has_the_log_probabilities_and_gradients_of_the_plain_path(string folder) => SharedPromptTests.AssertStep(folder, CUDA);

    [CudaTheory]
    [MemberData(nameof(Architectures.Folders), MemberType = typeof(Architectures))]
    public void Greedy_text_equals_transformers(string folder)
    {
        using var model = Architectures.Load(folder, device: CUDA);
        GreedyText.AssertEqualsTransformers(model, folder);
    }

    /// <summary>One call for all sequences against masks over padding, in the same precision.</summary>
    [CudaFact]
    public void Attention_without_padding_equals_that_in_buckets()
    {
        using var scope = NewDisposeScope();
        var layout = new SequenceLayout([new(9, [4, 1, 7]), new(3, []), new(30, [2, 2]), new(1, [5])]);
        var tensors = Enumerable.Range(0, 3).Select(index => randn(layout.RowCount, index == 0 ? 4 : 2, 16, device: CUDA).to(bfloat16).requires_grad_()).ToArray();
        var weights = randn(layout.RowCount, 64, device: CUDA);
        foreach (var style in (AttentionStyle[])[new(), new(Scale: 0.4), new(Window: 3)])
        {
            var (flash, buckets) = (Run(new FlashAttention(layout, CUDA)), Run(new BucketedAttention(layout, CUDA, ScalarType.BFloat16, 3)));
            foreach (var (one, other) in flash.Zip(buckets))
                Numbers.AssertClose(other, one, 0.02);

            double[][] Run(Attention attention)
            {
                foreach (var tensor in tensors)
                    tensor.grad = null;
                var output = attention.Attend(0, tensors[0], tensors[1], tensors[2], style);
                (output.to(float32) * weights).sum().backward();
                return [output.flatten().ToDoubles(), .. tensors.Select(tensor => tensor.grad!.flatten().ToDoubles())];
            }
        }
    }
}
