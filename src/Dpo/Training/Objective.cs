using Dpo.Batching;
using Dpo.Losses;
using Dpo.Models;
using Dpo.Native;
using Dpo.Training.Checkpointing;
using static TorchSharp.torch;

namespace Dpo.Training;

/// <summary>
/// What a <see cref="Trainer"/> minimizes and measures. One of your own is a class with one method: the trainer brings batches,
/// micro-batches, updates, evaluations, checkpoints and early stopping, as it does for DPO and supervised fine-tuning.
/// </summary>
/// <remarks>
/// <para>An objective that is a function of completions' log-probabilities is a <see cref="LogProbObjective"/>; a loss of
/// preferences needs none, since <see cref="DpoTrainer"/> takes any <see cref="IPreferenceLoss"/>. Parameters beside a language
/// model's own, as those of a head that gives scores, are the model's: a subclass of <see cref="CausalLanguageModel"/> registers
/// them.</para>
/// <para>A batch is computed in parts (<see cref="TrainingOptions.MicroBatchTokens"/>). Each gives its share: sums of its own,
/// divided by counts of the whole. Shares and their gradients add up to the whole's, so that no result depends on how it was
/// cut.</para>
/// <para>The trainer calls everything on its own thread, within a dispose scope of the part: what is made there needs no
/// disposing.</para>
/// </remarks>
public abstract class Objective : IRestorable
{
    /// <summary>Creates it.</summary>
    /// <param name="model">The model that is trained, in the mode that it is to be trained in; it stays the caller's to
    /// dispose.</param>
    protected Objective(CausalLanguageModel model)
    {
        ArgumentNullException.ThrowIfNull(model);
        Model = model;
    }

    /// <summary>The model that is trained.</summary>
    public CausalLanguageModel Model { get; }

    /// <summary>Computes a part of a batch, or of held-out data (then without gradients).</summary>
    /// <param name="part">The part. <c>part.To(Model.Device)</c> are its tensors; its examples tell what else is known of them,
    /// by <c>Source</c> say.</param>
    /// <param name="whole">What the whole batch, or all held-out data, holds: what sums are divided by.</param>
    /// <returns>The part's share of the whole's loss, a scalar with its graph; and for each of <see cref="Metrics"/>, in their
    /// order, a scalar: its share, its sum where the metric has a count, or the part's least or largest
    /// (<see cref="Metric.Fold"/>). All on the model's device: numbers are read once a
    /// step, for all parts together, so take none to the host here.</returns>
    public abstract (Tensor Loss, IReadOnlyList<Tensor> Metrics) Measure(PreferenceBatch part, PreferenceCounts whole);

    /// <summary>What is measured beside <c>loss</c>; by default nothing.</summary>
    /// <param name="whole">What the whole batch, or all held-out data, holds: a metric that it has nothing for is left
    /// out.</param>
    public virtual IReadOnlyList<Metric> Metrics(PreferenceCounts whole) => [];

    /// <summary>Refuses data that cannot be trained or evaluated on, before a run begins. What is too long for the model, or has
    /// unknown ids, is refused already; by default nothing else is.</summary>
    /// <exception cref="InvalidInputException">They cannot be used; the message names an example by its source.</exception>
    public virtual void Require(PreferenceData data)
    {
    }

    /// <summary>What a resumed run must have in common with the interrupted one besides model, data and options: numbers of the
    /// loss, a teacher by a digest of its weights. By default nothing but the class's name.</summary>
    public virtual IEnumerable<RunFact> Facts() => [];

    /// <summary>Is called after every update of the weights, before its checkpoint; by default does nothing.</summary>
    /// <param name="stepsMade">How many updates were made, this one among them.</param>
    public virtual void AfterUpdate(int stepsMade)
    {
    }

    /// <summary>Tensors of its own that steps change, as a reference that moves, for checkpoints; by default none. Parameters of
    /// the model are none of them.</summary>
    /// <returns>Tensors under names of their own, on any device; none where nothing changed yet. They are read at once, and stay
    /// the objective's.</returns>
    public virtual IEnumerable<(string Name, Tensor Tensor)> State() => [];

    /// <summary>Takes over what <see cref="State"/> gave, where a run is resumed.</summary>
    /// <param name="state">Is walked once and to be copied from; tensors are on the CPU and disposed when the next one is asked
    /// for.</param>
    /// <exception cref="InvalidInputException">It does not fit.</exception>
    public virtual void LoadState(IEnumerable<(string Name, Tensor Tensor)> state)
    {
    }

    /// <summary>Is told how far a run is: before its first step, or the first after it was resumed, and after every
    /// update.</summary>
    internal virtual void Reach(int stepsMade, int totalSteps)
    {
    }

    /// <summary>Refuses a batch that the loss has nothing to learn from, before the run and not after its first or last
    /// step.</summary>
    internal virtual void RequireMeasurable(PreferenceBatch batch, PreferenceCounts whole)
    {
    }

    /// <summary>Computes the parts of a batch, one by one as the answer is walked.</summary>
    /// <param name="parts">The parts.</param>
    /// <param name="whole">What the whole batch, or all held-out data, holds.</param>
    /// <param name="maxTokens">The most tokens computed at once.</param>
    /// <param name="train">Whether gradients are added to the parameters'.</param>
    /// <param name="cancellationToken">Ends it between two parts.</param>
    /// <returns>What <see cref="Summable"/> makes of each; tensors of the current dispose scope.</returns>
    internal virtual IEnumerable<Tensor> Compute(
        IReadOnlyList<PreferenceBatch> parts, PreferenceCounts whole, int maxTokens, bool train,
        CancellationToken cancellationToken) =>
        parts.Select(part => Compute(part, whole, train, cancellationToken));

    /// <summary>Computes one part.</summary>
    private protected Tensor Compute(
        PreferenceBatch part, PreferenceCounts whole, bool train, CancellationToken cancellationToken)
    {
        cancellationToken.ThrowIfCancellationRequested();
        using var scope = NewDisposeScope();
        using var pass = new BackwardPass();
        var (loss, metrics) = Measure(part, whole);
        if (train)
            pass.Over(loss).backward();
        return Summable(loss, metrics, whole).MoveToOuterDisposeScope();
    }

    /// <summary>Loss and metrics of a part as they are added up, on their device.</summary>
    internal Tensor Summable(Tensor loss, IReadOnlyList<Tensor> metrics, PreferenceCounts whole) =>
        Metrics(whole).Count is var named && named == metrics.Count
            ? stack([loss.detach(), .. metrics]).to(HostRead.Precision(loss.device))
            : throw new InvalidOperationException(
                $"{GetType().Name}.Measure gave {metrics.Count} metrics, and Metrics names {named}.");
}
