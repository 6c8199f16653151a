using static TorchSharp.torch;

namespace Dpo.Baselines.Tests;

/// <summary>A policy over one token that is a row of logits, the same behind every prompt.</summary>
internal static class Tabular
{
    public static readonly int[] Prompt = [0];

    public static LogitsModel Policy(params double[] logits)
    {
        var table = nn.Embedding(logits.Length, logits.Length);
        using (no_grad())
            table.weight!.copy_(tensor(logits, float32).unsqueeze(0).expand(logits.Length, logits.Length));
        return new LogitsModel(table);
    }

    /// <summary>The probability of each token.</summary>
    public static double[] Probabilities(CausalLanguageModel model, int count)
    {
        using var scope = NewDisposeScope();
        using var noGrad = no_grad();
        var batch = new PreferenceBatch(
            [new TokenizedExample(Prompt, [.. Enumerable.Range(0, count).Select(token => (int[])[token])], [])]);
        return [.. CompletionLogProbs.Compute(model, batch.To(CPU)).Sums.data<float>().ToArray().Select(value => Math.Exp(value))];
    }

    /// <summary>Probabilities that are in proportion to weights.</summary>
    public static double[] Normalized(IEnumerable<double> weights) =>
        weights.ToArray() is var all ? [.. all.Select(weight => weight / all.Sum())] : [];

    public static double Distance(double[] one, double[] other) =>
        0.5 * one.Zip(other, (first, second) => Math.Abs(first - second)).Sum();
}
