using static TorchSharp.torch;

namespace Dpo;

/// <summary>
/// A batch whose loss couples its parts, in the memory of a part: all log-probabilities first, without gradients; the loss of the
/// whole batch and its gradient with respect to each token's log-probability; then each part again, whose backward pass
/// starts from those.
/// </summary>
internal static class CoupledParts
{
    /// <summary>Runs the parts of a batch.</summary>
    /// <param name="parts">The parts, in order.</param>
    /// <param name="forward">Computes the log-probabilities of a part.</param>
    /// <param name="measure">Measures the whole batch: its loss, and metrics.</param>
    /// <param name="policy">Computes the policy's log-probabilities of a part for the backward pass; null where nothing is
    /// trained.</param>
    /// <param name="device">The models' device.</param>
    /// <returns>The metrics.</returns>
    public static double[] Run(
        IReadOnlyList<PreferenceBatch> parts,
        Func<BatchTensors, PreferenceLogProbs> forward,
        Func<PreferenceLogProbs, (Tensor Loss, Tensor Metrics)> measure,
        Func<BatchTensors, CompletionLogProbs>? policy,
        Device device)
    {
        using var scope = NewDisposeScope();
        var whole = Forward(parts, forward, device);
        var perToken = whole.Policy.PerToken.requires_grad_(policy is not null);
        // Sums anew, so that their gradients reach the tokens.
        var (loss, metrics) = measure(whole with
        {
            Policy = new CompletionLogProbs(perToken, whole.Policy.Offsets)
            {
                LogSquaredProbs = whole.Policy.LogSquaredProbs,
                Statistics = whole.Policy.Statistics,
            },
        });
        if (policy is not null)
        {
            loss.backward();
            var gradients = perToken.grad!.split([.. parts.Select(part => (long)part.CompletionTokenCount)]);
            foreach (var (part, gradient) in parts.Zip(gradients))
            {
                using var partScope = NewDisposeScope();
                (policy(part.To(device)).PerToken * gradient).sum().backward();
            }
        }
        return Trainer.Values(metrics);
    }

    private static PreferenceLogProbs Forward(
        IReadOnlyList<PreferenceBatch> parts, Func<BatchTensors, PreferenceLogProbs> forward, Device device)
    {
        using var noGrad = no_grad();
        var (policies, references, logSquaredProbs) = (new List<Tensor>(), new List<Tensor>(), new List<Tensor>());
        var (entropies, meanLogits, hits) = (new List<Tensor>(), new List<Tensor>(), new List<Tensor>());
        var offsets = new List<int> { 0 };
        foreach (var part in parts)
        {
            using var scope = NewDisposeScope();
            var logProbs = forward(part.To(device));
            void Keep(List<Tensor> list, Tensor? values)
            {
                if (values is not null)
                    list.Add(scope.MoveToOuter(values));
            }
            Keep(policies, logProbs.Policy.PerToken);
            Keep(references, logProbs.Reference?.PerToken);
            Keep(logSquaredProbs, logProbs.Policy.LogSquaredProbs);
            Keep(entropies, logProbs.Policy.Statistics?.Entropies);
            Keep(meanLogits, logProbs.Policy.Statistics?.MeanLogits);
            Keep(hits, logProbs.Policy.Statistics?.Hits);
            var first = offsets[^1];
            offsets.AddRange(logProbs.Policy.Offsets.Skip(1).Select(offset => first + offset));
        }
        return new PreferenceLogProbs(
            new CompletionLogProbs(cat(policies), offsets)
            {
                LogSquaredProbs = logSquaredProbs.Count > 0 ? cat(logSquaredProbs) : null,
                Statistics = entropies.Count > 0 ? new TokenStatistics(cat(entropies), cat(meanLogits), cat(hits)) : null,
            },
            references.Count > 0 ? new CompletionLogProbs(cat(references), offsets) : null,
            PreferenceTensors.Of([.. parts.SelectMany(part => part.Examples)], device));
    }
}
