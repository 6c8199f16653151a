using Dpo.Tests;
using static TorchSharp.torch;

namespace Dpo.Baselines.Tests;

public class ActorCriticTests
{
    /// <summary>Log-softmax of whole logits over the temperature; with a head that has a bias (GPT-J) and one with a soft cap (Gemma 2).
    /// Values are of hidden states as they are.</summary>
    [Theory]
    [InlineData("gpt2")]
    [InlineData("gptj")]
    [InlineData("gemma2")]
    public void Log_probabilities_are_at_the_temperature_and_values_are_not(string name)
    {
        using var scope = NewDisposeScope();
        using var noGrad = no_grad();
        using var policy = CausalLanguageModel.Load(Fixture.Path("models", name));
        using var models = new ActorCritic(policy, value: null, temperature: 0.7);
        var head = models.named_parameters().Single(named => named.name == "v_head.weight").parameter;
        head.normal_();
        var batch = new PreferenceBatch([new TokenizedExample([5, 6, 7], [[8, 9, 10, 0]], [])]).To(CPU);
        var (logProbs, values) = models.Measure(batch);

        // The rows that predict the completion's tokens are the prompt's last and the completion's but its last.
        var hidden = policy.call(batch.Ids, batch.Layout).narrow(0, 2, 4);
        var logits = policy.Head.Logits(hidden) / 0.7;
        var expected = nn.functional.log_softmax(logits, 1).gather(1, batch.Targets.unsqueeze(1));
        Numbers.AssertClose(expected.flatten().ToDoubles(), logProbs.PerToken.ToDoubles(), 1e-5);
        Numbers.AssertClose(hidden.matmul(head.t()).flatten().ToDoubles(), values.ToDoubles(), 1e-5);
    }

    /// <summary>As it was sampled, an architecture of one's own that drops in training is measured without that.</summary>
    [Fact]
    public void What_was_sampled_is_measured_without_dropout()
    {
        using var policy = new Dropping();
        using var pair = new PolicyReferencePair(policy);
        using var models = new ActorCritic(policy, value: null, temperature: 1);
        policy.train();
        var sampling = new RolloutSampling(models, pair, null!, null, new PpoOptions());
        var measured = sampling.Measure([new TrainingExample([5, 6, 7], [[8, 9, 10, 0]], [])], [0], [true])[0];
        Assert.Equal(measured.ReferenceLogProbs, measured.LogProbs);
        Assert.True(policy.training);
    }

    /// <summary>A token's vector, of which a half is dropped, is all that predicts the next.</summary>
    private sealed class Dropping : TransformerModel
    {
        private readonly EmbeddingTable embed = new(20, 16);
        private readonly TorchSharp.Modules.Dropout drops = nn.Dropout(0.5);

        public Dropping()
            : base("dropping", new ModelConfig(new() { ["model_type"] = "dropping", ["vocab_size"] = 20 }))
        {
            Assemble(embed);
            DrawWeights(seed: 1, _ => 1);
        }

        public override int MaxPositions => 16;

        public override int LayerCount => 1;

        public override int HeadSize => 16;

        public override Tensor HiddenStates(Tensor ids, Attention attention) => drops.call(embed.call(ids)).to(ComputeType);
    }
}
