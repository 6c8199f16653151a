using Dpo.Batching;
using Dpo.LogProbs;
using Dpo.Losses;
using Dpo.Models;
using static TorchSharp.torch;

namespace Dpo.Training;

/// <summary>Measures models on data without a trainer: nothing is trained, and nothing changes.</summary>
/// <remarks>
/// <para>The model is in evaluation mode meanwhile.</para>
/// <para>Models may have adapters, merged or not; but the reference of a pair that was made of the policy alone needs the adapter
/// unmerged.</para>
/// <para><c>maxTokens</c>, everywhere, is the most tokens computed at once, each prompt counted once; it bounds memory, and no
/// result depends on it but by rounding.</para>
/// </remarks>
public static class Evaluator
{
    private const int BatchSize = 64;

    /// <summary>Measures a loss and its companions on preferences, as <see cref="DpoTrainer"/> does on held-out data.</summary>
    /// <param name="pair">The models.</param>
    /// <param name="data">What to measure them on.</param>
    /// <param name="loss">The loss; plain DPO with β = 0.1 by default.</param>
    /// <param name="maxTokens">See above; 1 or more.</param>
    /// <param name="cancellationToken">Ends it between two parts.</param>
    /// <returns>TRL's names of metrics: <c>loss</c>, <c>rewards/accuracies</c>, …; averages over all pairs. A loss that couples
    /// its batch is given 64 pairs at a time.</returns>
    /// <exception cref="InvalidInputException">An example is too long for the model, or holds a token id that it does not know;
    /// or the loss has nothing to measure in the data.</exception>
    /// <exception cref="InvalidOperationException">The reference was released and the data carry none of its values, or the
    /// policy's adapter is merged where the reference is made of the policy.</exception>
    public static IReadOnlyDictionary<string, double> Evaluate(
        PolicyReferencePair pair, PreferenceData data, IPreferenceLoss? loss = null, int maxTokens = 4096,
        CancellationToken cancellationToken = default)
    {
        ArgumentNullException.ThrowIfNull(pair);
        return Evaluate(
            new PreferenceObjective(pair.Policy, pair, loss ?? new DpoLoss(), new TrainingOptions()),
            data, maxTokens, cancellationToken);
    }

    /// <summary>Measures a model by itself: the cross-entropy of completions, as <see cref="SftTrainer"/> does, or a loss that
    /// does without a reference.</summary>
    /// <param name="model">The model.</param>
    /// <param name="data">What to measure it on; where <paramref name="loss"/> is null, completions alone
    /// (<see cref="PreferenceData.ChosenOnly"/>).</param>
    /// <param name="loss">A loss whose <see cref="IPreferenceLoss.UsesReference"/> is false; null for the mean cross-entropy of a
    /// completion's token, in nats.</param>
    /// <param name="maxTokens">As for a pair, and so are the result and the exceptions.</param>
    /// <param name="cancellationToken">As for a pair.</param>
    /// <exception cref="ArgumentException">The loss compares the policy with a reference.</exception>
    public static IReadOnlyDictionary<string, double> Evaluate(
        CausalLanguageModel model, PreferenceData data, IPreferenceLoss? loss = null, int maxTokens = 4096,
        CancellationToken cancellationToken = default)
    {
        ArgumentNullException.ThrowIfNull(model);
        return Evaluate(
            loss is null
                ? new SftObjective(model, isDetailed: false)
                : new PreferenceObjective(model, pair: null, WithoutReference(loss), new TrainingOptions()),
            data, maxTokens, cancellationToken);
    }

    /// <summary>Measures an objective of your own.</summary>
    /// <param name="objective">What is measured.</param>
    /// <param name="data">What to measure it on.</param>
    /// <param name="maxTokens">As for a pair, and so are the exceptions.</param>
    /// <param name="cancellationToken">As for a pair.</param>
    /// <returns>Its metrics, <c>loss</c> among them.</returns>
    public static IReadOnlyDictionary<string, double> Evaluate(
        Objective objective, PreferenceData data, int maxTokens = 4096, CancellationToken cancellationToken = default)
    {
        ArgumentNullException.ThrowIfNull(objective);
        ArgumentNullException.ThrowIfNull(data);
        ArgumentOutOfRangeException.ThrowIfLessThan(maxTokens, 1);
        var measurement = new BatchMeasurement(
            objective, new TrainingOptions { BatchSize = BatchSize, MicroBatchTokens = maxTokens });
        measurement.Require(data, seed: null, data.Counts);
        return measurement.Evaluate(data, cancellationToken);
    }

    /// <summary>The implicit rewards of every pair, one by one as they are asked for, in the order of the data.</summary>
    /// <param name="pair">The models; neither may change meanwhile.</param>
    /// <param name="data">The pairs.</param>
    /// <param name="loss">Defines the rewards; plain DPO with β = 0.1 by default.</param>
    /// <param name="maxTokens">See above; 1 or more.</param>
    /// <param name="cancellationToken">Ends it between two parts.</param>
    /// <returns>For each pair of each example what <c>RewardsTable</c> writes as CSV.</returns>
    /// <exception cref="InvalidInputException">At once: an example is too long for the model, or holds a token id that it does
    /// not know.</exception>
    /// <exception cref="InvalidOperationException">As for
    /// <see cref="Evaluate(PolicyReferencePair, PreferenceData, IPreferenceLoss?, int, CancellationToken)"/>.</exception>
    public static IEnumerable<PairRewards> Rewards(
        PolicyReferencePair pair, PreferenceData data, IPreferenceLoss? loss = null, int maxTokens = 4096,
        CancellationToken cancellationToken = default)
    {
        ArgumentNullException.ThrowIfNull(pair);
        return Rewards(pair.Policy, pair, data, loss ?? new DpoLoss(), maxTokens, cancellationToken);
    }

    /// <summary>The rewards of every pair by a loss that does without a reference, such as <see cref="SimPoLoss"/>, as for a
    /// pair of models.</summary>
    /// <param name="model">The model, which may not change meanwhile.</param>
    /// <param name="data">The pairs.</param>
    /// <param name="loss">Defines the rewards; its <see cref="IPreferenceLoss.UsesReference"/> is false.</param>
    /// <param name="maxTokens">See above; 1 or more.</param>
    /// <param name="cancellationToken">Ends it between two parts.</param>
    /// <returns>As for a pair of models, without the reference's log-probabilities.</returns>
    /// <exception cref="InvalidInputException">As for a pair of models.</exception>
    /// <exception cref="ArgumentException">The loss compares the policy with a reference.</exception>
    public static IEnumerable<PairRewards> Rewards(
        CausalLanguageModel model, PreferenceData data, IPreferenceLoss loss, int maxTokens = 4096,
        CancellationToken cancellationToken = default)
    {
        ArgumentNullException.ThrowIfNull(model);
        return Rewards(model, pair: null, data, WithoutReference(loss), maxTokens, cancellationToken);
    }

    private static IEnumerable<PairRewards> Rewards(
        CausalLanguageModel model, PolicyReferencePair? pair, PreferenceData data, IPreferenceLoss loss, int maxTokens,
        CancellationToken cancellationToken)
    {
        ArgumentNullException.ThrowIfNull(data);
        ArgumentOutOfRangeException.ThrowIfLessThan(maxTokens, 1);
        ModelFit.Require(model, data);
        var objective = new PreferenceObjective(model, pair, loss, new TrainingOptions());
        objective.Require(data);
        return Parts(data, maxTokens, cancellationToken).SelectMany(part => RewardsOf(objective, loss, part, maxTokens));
    }

    /// <summary>The log-probability of every token of every completion under a model, one example after another as they are asked
    /// for, in the order of the data.</summary>
    /// <param name="model">The model, which may not change meanwhile.</param>
    /// <param name="data">The completions; pairs, rankings and labels do not matter.</param>
    /// <param name="maxTokens">See above; 1 or more.</param>
    /// <param name="cancellationToken">Ends it between two parts.</param>
    /// <returns>For each example, for each of its completions, a number of nats for each of its tokens.</returns>
    /// <exception cref="InvalidInputException">At once: an example is too long for the model, or holds a token id that it does
    /// not know.</exception>
    public static IEnumerable<IReadOnlyList<IReadOnlyList<float>>> LogProbs(
        CausalLanguageModel model, PreferenceData data, int maxTokens = 4096, CancellationToken cancellationToken = default)
    {
        ArgumentNullException.ThrowIfNull(model);
        ArgumentNullException.ThrowIfNull(data);
        ArgumentOutOfRangeException.ThrowIfLessThan(maxTokens, 1);
        ModelFit.Require(model, data);
        return Parts(data, maxTokens, cancellationToken).SelectMany(part => LogProbsOf(model, part, maxTokens));
    }

    /// <summary>A loss that does without a reference.</summary>
    /// <exception cref="ArgumentException">It compares the policy with one.</exception>
    internal static IPreferenceLoss WithoutReference(IPreferenceLoss loss)
    {
        ArgumentNullException.ThrowIfNull(loss);
        return loss.UsesReference
            ? throw new ArgumentException(
                $"{loss.GetType().Name} compares the policy with a reference; " +
                "make a PolicyReferencePair of the policy, and give that instead.",
                nameof(loss))
            : loss;
    }

    /// <summary>The examples in their order, as many at once as the budget allows.</summary>
    private static IEnumerable<PreferenceBatch> Parts(PreferenceData data, int maxTokens, CancellationToken cancellationToken)
    {
        foreach (var examples in PreferenceBatch.Pack(data.Examples, example => (example.TokenCount, 0), maxTokens, int.MaxValue))
        {
            cancellationToken.ThrowIfCancellationRequested();
            yield return new PreferenceBatch(examples);
        }
    }

    private static PairRewards[] RewardsOf(
        PreferenceObjective objective, IPreferenceLoss loss, PreferenceBatch part, int maxTokens)
    {
        using var scope = NewDisposeScope();
        using var noGrad = no_grad();
        using var mode = new EvaluationMode(objective.Model);
        var device = objective.Model.Device;
        var slices = part.Slices(maxTokens).Select(slice => objective.LogProbsOf(slice.To(device))).ToArray();
        var reference = slices[0].Reference is null ? null
            : CompletionLogProbs.Concat([.. slices.Select(slice => slice.Reference!)]);
        var logProbs = new PreferenceLogProbs(
            CompletionLogProbs.Concat([.. slices.Select(slice => slice.Policy)]), reference,
            PreferenceTensors.Of(part.Examples, device));
        var (rewards, policy) = (Numbers(loss.Rewards(logProbs)), Numbers(logProbs.Policy.Sums));
        var ofReference = reference is null ? null : Numbers(reference.Sums);
        var pairs = new List<PairRewards>(part.PairCount);
        var first = 0;
        foreach (var example in part.Examples)
        {
            pairs.AddRange(example.Pairs.Select(pair => new PairRewards
            {
                Source = example.Source,
                Chosen = pair.Chosen,
                Rejected = pair.Rejected,
                ChosenReward = rewards[first + pair.Chosen],
                RejectedReward = rewards[first + pair.Rejected],
                ChosenLogProb = policy[first + pair.Chosen],
                RejectedLogProb = policy[first + pair.Rejected],
                ChosenReferenceLogProb = ofReference?[first + pair.Chosen],
                RejectedReferenceLogProb = ofReference?[first + pair.Rejected],
                ChosenTokens = example.Completions[pair.Chosen].Count,
                RejectedTokens = example.Completions[pair.Rejected].Count,
            }));
            first += example.Completions.Count;
        }
        return [.. pairs];
    }

    private static float[] Numbers(Tensor values) => values.detach().cpu().data<float>().ToArray();

    private static List<IReadOnlyList<IReadOnlyList<float>>> LogProbsOf(
        CausalLanguageModel model, PreferenceBatch part, int maxTokens)
    {
        using var scope = NewDisposeScope();
        using var noGrad = no_grad();
        using var mode = new EvaluationMode(model);
        float[] values = [.. part.Slices(maxTokens).SelectMany(
            slice => Numbers(CompletionLogProbs.Compute(model, slice.To(model.Device)).PerToken))];
        return [.. part.ByCompletion(values)];
    }
}
