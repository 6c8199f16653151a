using CsCheck;
using static TorchSharp.torch;

namespace Dpo.Tests;

/// <summary>The shared-prompt path against the plain one: right-padded sequences, the prompt in front of every completion.</summary>
public class SharedPromptTests
{
    private static readonly Gen<TrainingExample> Example =
        from promptLength in Gen.Int[1, 9]
        from prompt in Gen.Int[1, 49].Array[promptLength]
        from completions in Gen.Int[1, 7].SelectMany(length => Gen.Int[0, 49].Array[length]).Array[2, 6]
        select new TrainingExample(prompt, completions, [.. Enumerable.Range(1, completions.Length - 1).Select(other => new PreferencePair(0, other))]);

    /// <summary>In one of them at least a token sees another: where none does, the gradient of queries and keys is zero but for
    /// rounding.</summary>
    private static readonly Gen<TrainingExample[]> Batch =
        Example.Array[1, 4].Where(batch => batch.Any(example => example.Prompt.Count + example.Completions.Max(ids => ids.Count) > 2));

    /// <summary>A module that knows nothing of layouts: ids <c>[B, T]</c> to logits <c>[B, T, V]</c>.</summary>
    internal sealed class Plain : nn.Module<Tensor, Tensor>
    {
        private readonly TransformerModel transformer;

        public Plain(TransformerModel transformer)
            : base(nameof(Plain))
        {
            this.transformer = transformer;
            RegisterComponents();
        }

        public override Tensor forward(Tensor ids)
        {
            var sequences = Enumerable.Repeat(new ExampleLengths((int)ids.shape[1], []), (int)ids.shape[0]);
            var hidden = transformer.call(ids.flatten(), new SequenceLayout([.. sequences]));
            return transformer.Head.Logits(hidden).view(ids.shape[0], ids.shape[1], -1);
        }
    }

    /// <summary>The attention for GPUs, on the CPU.</summary>
    private sealed class InBuckets(TransformerModel transformer) : CausalLanguageModel(nameof(InBuckets))
    {
        public override OutputHead Head => transformer.Head;

        public override Tensor forward(Tensor ids, SequenceLayout layout) =>
            transformer.HiddenStates(ids, new BucketedAttention(layout, ids.device, float32, Architectures.Windows(transformer)));
    }

    /// <summary>Sequences of up to 15 tokens, where the fixtures' variants have windows of 3 to 5.</summary>
    [Theory]
    [MemberData(nameof(Architectures.Folders), MemberType = typeof(Architectures))]
    public void A_step_of_DPO_has_the_log_probabilities_and_gradients_of_the_plain_path(string folder) => AssertStep(folder, CPU);

    internal static void AssertStep(string folder, Device device)
    {
        using var shared = Architectures.Load(folder, device: device);
        using var plain = new LogitsModel(new Plain(shared));
        using var buckets = new InBuckets(shared);
        using var loss = new DpoLoss(beta: 1);
        Batch.Sample(examples =>
        {
            using var scope = NewDisposeScope();
            var batch = new PreferenceBatch(examples).To(device);
            // A reference some nats away, so that no pair's gradient vanishes.
            var reference = CompletionLogProbs.Compute(plain, batch).Sums.detach() + arange(1, batch.Layout.CompletionCount + 1, device: device).cos();
            var (expected, expectedGradients) = Run(plain);
            AssertEqual("by example", shared);
            AssertEqual("in buckets", buckets);
            shared.CheckpointActivations = true;
            AssertEqual("checkpointed", shared);
            shared.CheckpointActivations = false;

            (double[] LogProbs, Dictionary<string, Tensor> Gradients) Run(CausalLanguageModel model)
            {
                var logProbs = CompletionLogProbs.Compute(model, batch);
                shared.zero_grad();
                loss.call(logProbs.Sums, reference, batch.Chosen, batch.Rejected).Losses.mean().backward();
                return (logProbs.PerToken.ToDoubles(), shared.named_parameters().ToDictionary(p => p.name, p => p.parameter.grad!.clone()));
            }

            void AssertEqual(string path, CausalLanguageModel model)
            {
                var (actual, gradients) = Run(model);
                Numbers.AssertClose(expected, actual, 1e-4, $"{path}, log-probabilities");
                foreach (var (name, gradient) in gradients)
                {
                    // The gradient of the key part of GPT-2's bias is zero but for rounding.
                    var kept = name.EndsWith("c_attn.bias", StringComparison.Ordinal) ? tensor(new[] { 0L, 2L }, device: device) : arange(gradient.shape[0], device: device);
                    var rows = name.EndsWith("c_attn.bias", StringComparison.Ordinal) ? 3 : gradient.shape[0];
                    var difference = (gradient - expectedGradients[name]).view(rows, -1).index_select(0, kept).norm().item<float>();
                    var norm = expectedGradients[name].view(rows, -1).index_select(0, kept).norm().item<float>();
                    Assert.True(difference <= 1e-4 * norm + 1e-6, $"{path}, {name}: {difference} of {norm}");
                }
            }
        }, iter: 20, threads: 1);
    }
}
