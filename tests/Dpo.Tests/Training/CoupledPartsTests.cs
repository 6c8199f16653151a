using static TorchSharp.torch;

namespace Dpo.Tests;

public class CoupledPartsTests
{
    /// <summary>The log-probabilities that the loss is measured on, and those that gradients flow through, are of one dropout: together
    /// they are the gradients of one graph over parts that draw the same.</summary>
    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void Dropout_drops_the_same_in_both_passes(bool checkpoint)
    {
        using var model = new Gpt2(TrainerTests.Shape, seed: 5);
        model.AddLora(LoraModels.Options with { Dropout = 0.4 });
        LoraModels.Disturb(model);
        model.CheckpointActivations = checkpoint;
        using var pair = new PolicyReferencePair(model);
        var objective = new PreferenceObjective(pair.Policy, pair, new LossOptions { Names = ["aot"], Beta = 1 }.Create(), new TrainingOptions());
        var batch = TrainerTests.Data(6).Batches(100).Single();
        PreferenceBatch[] parts = [.. batch.Split(maxPairs: 4)];
        Assert.True(parts.Length > 1);

        model.RequireAdapter().DropoutDraws = 0;
        var metrics = CoupledParts.Run(objective, parts, batch.Counts, maxTokens: 4096, train: true);
        var actual = Gradients();

        model.zero_grad();
        model.RequireAdapter().DropoutDraws = 0;
        var tensors = parts.Select(part => part.To(CPU)).ToArray();
        var references = tensors.Select(part => objective.ReferenceOf(part)!).ToArray();
        var whole = new PreferenceLogProbs(
            CompletionLogProbs.Concat([.. tensors.Zip(references, objective.PolicyOf)]), CompletionLogProbs.Concat(references),
            PreferenceTensors.Of([.. parts.SelectMany(part => part.Examples)], CPU));
        var (loss, expectedMetrics) = objective.Measure(whole, batch.Counts);
        loss.backward();

        var summable = objective.Summable(loss, expectedMetrics, batch.Counts);
        Numbers.AssertClose(summable.ToDoubles(), metrics.ToDoubles(), 1e-5, "metrics");
        foreach (var (name, expected) in Gradients())
        {
            Assert.True(expected.Any(value => Math.Abs(value) > 1e-6), name);
            Numbers.AssertClose(expected, actual[name], 1e-5, name);
        }

        Dictionary<string, double[]> Gradients() =>
            objective.Model.named_parameters().Where(named => named.parameter.requires_grad)
                .ToDictionary(named => named.name, named => named.parameter.grad!.flatten().ToDoubles());
    }
}
