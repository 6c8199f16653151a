using static TorchSharp.torch;

namespace Dpo.Tests;

public class WpoLossTests
{
    /// <summary>Tokens likelier than the policy's own on average would weigh more than 1, by e in the first pair and by e^½ in the second:
    /// they weigh 1. The third pair's weigh e^−¾.</summary>
    [Fact]
    public void A_pair_weighs_at_most_1()
    {
        using var scope = NewDisposeScope();
        int[] offsets = [0, 2, 3, 5, 6, 8, 9];
        var perToken = tensor([-1f, -1f, -1f, -2f, -1f, -1f, -3f, -1f, -1f]);
        var logSquared = tensor([-1.5f, -1.5f, -1.5f, -2f, -2f, -1f, -2f, -1f, -1.25f + 1f]);
        var policy = new CompletionLogProbs(perToken, offsets) { LogSquaredProbs = logSquared };
        var examples = Enumerable.Repeat(new TrainingExample([1], [[1, 1], [1]], [new(0, 1)]), 3).ToArray();
        var part = new PreferenceLogProbs(policy, policy, new PreferenceBatch(examples).To(CPU).Preferences);
        var wpo = new WpoLoss(new DpoLoss(beta: 1));
        Numbers.AssertClose([1, 1, Math.Exp(-0.5 - 0.75)], wpo.PairsOf(part).Weights!.ToDoubles(), 1e-6);
        Numbers.AssertClose(
            new[] { 1, 1, Math.Exp(-0.5 - 0.75) }.Select(weight => weight * Math.Log(2)).ToArray(), wpo.Losses(wpo.PairsOf(part)).ToDoubles(), 1e-6, "losses");
    }
}
