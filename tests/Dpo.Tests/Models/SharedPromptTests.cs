using CsCheck;
using static TorchSharp.torch;

namespace Dpo.Tests;

/// <summary>The shared-prompt path against the plain one: right-padded sequences, the prompt in front of every completion.</summary>
public class SharedPromptTests
{
    private static readonly Gen<TokenizedExample> Example =
        from promptLength in Gen.Int[1, 9]
        from prompt in Gen.Int[1, 49].Array[promptLength]
        from completions in Gen.Int[1, 7].SelectMany(length => Gen.Int[0, 49].Array[length]).Array[1, 6]
        select new TokenizedExample(prompt, completions, [new(0, completions.Length - 1)]);

    /// <summary>A module that knows nothing of layouts: ids <c>[B, T]</c> to logits <c>[B, T, V]</c>.</summary>
    private sealed class Plain : nn.Module<Tensor, Tensor>
    {
        private readonly Gpt2 gpt2;

        public Plain(Gpt2 gpt2)
            : base(nameof(Plain))
        {
            this.gpt2 = gpt2;
            RegisterComponents();
        }

        public override Tensor forward(Tensor ids)
        {
            var sequences = Enumerable.Repeat(new ExampleLengths((int)ids.shape[1], []), (int)ids.shape[0]);
            var hidden = gpt2.call(ids.flatten(), new SequenceLayout([.. sequences]));
            return gpt2.Head.Logits(hidden).view(ids.shape[0], ids.shape[1], -1);
        }
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void Log_probabilities_and_gradients_equal_the_plain_path(bool checkpoint)
    {
        using var shared = new Gpt2(new Gpt2Config { VocabularySize = 50, MaxPositions = 16, HiddenSize = 16, LayerCount = 2, HeadCount = 2 }, seed: 1);
        using var plain = new LogitsModel(new Plain(shared));
        using (no_grad())
        {
            // Larger than at birth, so that attention is far from uniform.
            foreach (var parameter in shared.parameters().Where(parameter => parameter.dim() > 1))
                parameter.mul_(10);
        }

        Example.Array[1, 4].Sample(examples =>
        {
            using var scope = NewDisposeScope();
            var batch = new PreferenceBatch(examples).To(CPU);
            var weights = arange(1, batch.Layout.CompletionCount + 1).cos();

            (double[] LogProbs, Dictionary<string, Tensor> Gradients) Run(CausalLanguageModel model)
            {
                var logProbs = CompletionLogProbs.Compute(model, batch);
                model.zero_grad();
                (logProbs.Sums * weights).sum().backward();
                return (logProbs.PerToken.ToDoubles(), shared.named_parameters().ToDictionary(p => p.name, p => p.parameter.grad!.clone()));
            }

            var (expected, expectedGradients) = Run(plain);
            shared.CheckpointActivations = checkpoint;
            var (actual, gradients) = Run(shared);
            shared.CheckpointActivations = false;
            Numbers.AssertClose(expected, actual, 1e-4, "log-probabilities");
            foreach (var (name, gradient) in gradients)
            {
                // The gradient of the key part of the bias is zero but for rounding.
                var kept = name.EndsWith("c_attn.bias", StringComparison.Ordinal) ? tensor(new[] { 0L, 2L }) : arange(gradient.shape[0]);
                var rows = name.EndsWith("c_attn.bias", StringComparison.Ordinal) ? 3 : gradient.shape[0];
                var difference = (gradient - expectedGradients[name]).view(rows, -1).index_select(0, kept).norm().item<float>();
                var norm = expectedGradients[name].view(rows, -1).index_select(0, kept).norm().item<float>();
                Assert.True(difference <= 1e-4 * norm + 1e-6, $"{name}: {difference} of {norm}");
            }
        }, iter: 100, threads: 1);
    }
}
