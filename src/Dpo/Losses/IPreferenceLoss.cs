using Dpo.Batching;
using Dpo.LogProbs;
using static TorchSharp.torch;

namespace Dpo.Losses;

/// <summary>
/// A loss on preferences: a pure function of log-probabilities. <c>DpoTrainer</c> takes any of them. One of your own is a
/// <see cref="PairLoss"/>, as most are, or a <see cref="PreferenceLoss"/>.
/// </summary>
/// <remarks>
/// A batch may be computed in parts. Each part answers with its share: the sum of its losses divided by the count of the whole
/// batch. Shares add up to the batch's loss, and so do their gradients:
/// <code>
/// foreach (var part in batch.Split(maxTokens: 4096))
/// {
///     using var scope = NewDisposeScope();
///     var tokens = part.To(device);
///     var (policy, reference) = pair.LogProbs(tokens, loss.Needs);
///     loss.Share(new PreferenceLogProbs(policy, reference, tokens.Preferences), batch.Counts).backward();
/// }
/// </code>
/// </remarks>
public interface IPreferenceLoss
{
    /// <summary>Whether the reference is to be computed.</summary>
    public bool UsesReference { get; }

    /// <summary>
    /// Whether the loss of a part depends on the rest of the batch in more than its counts, as a sort or a mean over the batch
    /// does. Such a loss must be given the whole batch at once; the trainer then computes the parts twice, first without
    /// gradients, so that memory stays bounded and the result does not depend on how the batch was cut.
    /// </summary>
    public bool IsBatchCoupled { get; }

    /// <summary>What it is to be given of the policy beside log-probabilities.</summary>
    public LogProbsRequest Needs { get; }

    /// <summary>
    /// The loss as a text that is another wherever its class or one of its numbers is: <c>SimPoLoss(Beta=2, Gamma=0.5)</c>. A
    /// checkpoint records it, and a run that goes on with another is refused; so it is the same on every machine and in every
    /// culture, and stays as it is while the loss does.
    /// </summary>
    public string Description { get; }

    /// <summary>A part's share of the batch's loss.</summary>
    /// <param name="part">The part's log-probabilities.</param>
    /// <param name="batch">What the whole batch holds.</param>
    /// <returns>A scalar with its graph.</returns>
    /// <exception cref="InvalidInputException">The batch holds nothing the loss could learn from.</exception>
    public Tensor Share(PreferenceLogProbs part, PreferenceCounts batch);

    /// <summary>The reward of every completion that the loss implies, <c>[S]</c>, detached; what metrics report.</summary>
    public Tensor Rewards(PreferenceLogProbs part);

    /// <summary>Is told how far a run is: before its first step, or the first after it was resumed, and after every update. A
    /// loss whose numbers follow a schedule takes them from here.</summary>
    /// <param name="stepsMade">How many updates were made.</param>
    /// <param name="totalSteps">How many the whole run has.</param>
    public void Reach(int stepsMade, int totalSteps);

    /// <summary>Tensors that steps change, such as a running mean, for checkpoints.</summary>
    /// <returns>Tensors under names of the loss's own; none where nothing has changed yet. They are read at once, and stay the
    /// loss's.</returns>
    public IEnumerable<(string Name, Tensor Tensor)> State();

    /// <summary>Takes over what <see cref="State"/> gave, where a run is resumed.</summary>
    /// <param name="state">To be copied from.</param>
    /// <exception cref="InvalidInputException">It does not fit.</exception>
    public void LoadState(IEnumerable<(string Name, Tensor Tensor)> state);
}
