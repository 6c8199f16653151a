using Dpo.Batching;
using Dpo.LogProbs;
using Dpo.Losses;
using Dpo.Native;
using static TorchSharp.torch;

namespace Dpo.Training;

/// <summary>
/// A batch whose loss couples its parts, or an example too large to be computed at once, in the memory of a part: all
/// log-probabilities first, without gradients; the loss of the whole and its gradient with respect to each token's
/// log-probability, and KL where there is one; then each part again, whose backward pass starts from those.
/// </summary>
internal static class CoupledParts
{
    /// <summary>Runs the parts of a batch.</summary>
    /// <param name="objective">Computes and measures them.</param>
    /// <param name="parts">The parts, in order. One that has more tokens than are computed at once is cut further.</param>
    /// <param name="whole">What the whole batch, or all held-out data, holds.</param>
    /// <param name="maxTokens">The most tokens computed at once.</param>
    /// <param name="train">Whether gradients are added to the parameters'.</param>
    /// <returns>The metrics, as <see cref="Objective.Summable"/> makes them; a tensor of the current dispose scope.</returns>
    public static Tensor Run(
        LogProbObjective objective, IReadOnlyList<PreferenceBatch> parts, PreferenceCounts whole, int maxTokens, bool train)
    {
        using var scope = NewDisposeScope();
        var device = objective.Model.Device;
        PreferenceBatch[] slices = [.. parts.SelectMany(part => part.Slices(maxTokens))];
        var logProbs = slices.Select(part =>
        {
            using var noGrad = no_grad();
            using var partScope = NewDisposeScope();
            var tensors = part.To(device);
            var reference = objective.ReferenceOf(tensors);
            // Where it trains, dropout drops now what it will drop again.
            var drawn = new RandomDraws();
            CompletionLogProbs Policy() => objective.PolicyOf(tensors, reference);
            var policy = train ? drawn.During(Policy) : Policy();
            return (Policy: policy.MoveToOuterDisposeScope(), Reference: reference?.MoveToOuterDisposeScope(), Drawn: drawn);
        }).ToArray();
        foreach (var (policy, _, _) in logProbs)
        {
            policy.PerToken.requires_grad_(train);
            policy.ReferenceKl?.requires_grad_(train);
        }
        var (loss, metrics) = objective.Measure(
            new PreferenceLogProbs(
                CompletionLogProbs.Concat([.. logProbs.Select(part => part.Policy)]),
                logProbs[0].Reference is null ? null : CompletionLogProbs.Concat([.. logProbs.Select(part => part.Reference!)]),
                PreferenceTensors.Of([.. parts.SelectMany(part => part.Examples)], device)),
            whole);
        if (train)
        {
            loss.backward();
            foreach (var (part, (policy, reference, drawn)) in slices.Zip(logProbs))
            {
                using var partScope = NewDisposeScope();
                var again = drawn.During(() => objective.PolicyOf(part.To(device), reference));
                var product = (again.PerToken * policy.PerToken.grad!).sum();
                if (policy.ReferenceKl?.grad is { } ofKl)
                    product = product.Plus((again.ReferenceKl! * ofKl).sum());
                product.backward();
            }
        }
        return objective.Summable(loss, metrics, whole).MoveToOuterDisposeScope();
    }
}
