using Dpo.Batching;
using Dpo.LogProbs;
using Dpo.Losses;
using Dpo.Models;
using Dpo.Native;
using Dpo.Optimizers;
using Dpo.Weights;
using TorchSharp.Modules;
using static TorchSharp.torch;

namespace Dpo.Training;

/// <summary>
/// The policy that is trained and the reference it is measured against. The reference is frozen: it is in evaluation mode,
/// sees no gradient and shares no parameter with the policy.
/// </summary>
/// <remarks>
/// <para>The reference must be the model the policy started from, or rewards do not start at 0. So the usual pair is made from
/// the policy alone and keeps a copy of its initial weights, which stand in for the trained ones while the reference is
/// computed; this works for any module. Weights that are frozen (<c>requires_grad = false</c>) are the same in both, so none is
/// copied: freeze them, and add or load an adapter, before the pair is made. A change afterwards is refused.</para>
/// <para>With a LoRA adapter that leaves a copy of the adapter. A new one (<c>AddLora</c>) adds nothing yet, and
/// the reference is the model without it; one that was loaded, from supervised fine-tuning say, is part of the reference.</para>
/// <para>Both models run through the same code at the same precision, so that their difference is exactly 0 at the start.
/// The policy is put into evaluation mode too: the paper trains without dropout. Only a <see cref="TransformerModel"/> stays in
/// its mode, since it knows no dropout but that of an adapter, which was asked for by name.</para>
/// <para>A loss that does without a reference (<see cref="IPreferenceLoss.UsesReference"/>) needs no pair: give the policy itself
/// to <see cref="DpoTrainer"/>, and no weights are copied.</para>
/// <para>Unless it is moved (<see cref="MoveReference"/>), the reference never changes, so what it says of a data set can be
/// computed once:</para>
/// <code>
/// data = ReferenceLogProbs.LoadOrCompute("reference.safetensors", pair, data);
/// pair.ReleaseReference(); // its memory is the policy's from here on
/// </code>
/// </remarks>
public sealed class PolicyReferencePair : IDisposable
{
    private readonly List<(string Name, Parameter Trained, Tensor Initial)> weights = [];
    private readonly TrainedParameters? copied;
    private CausalLanguageModel? reference;
    private bool released;
    private bool hasMoved;

    /// <summary>Makes a pair whose reference is the policy as it is now.</summary>
    /// <param name="policy">The model to train; disposed with the pair.</param>
    /// <exception cref="InvalidOperationException">The policy's adapter is merged, or two of its parameters share memory without
    /// being one.</exception>
    public PolicyReferencePair(CausalLanguageModel policy)
    {
        ArgumentNullException.ThrowIfNull(policy);
        RequireUnmerged(policy);
        Policy = InMode(policy);
        using var scope = NewDisposeScope();
        using var noGrad = no_grad();
        copied = new TrainedParameters(policy);
        foreach (var (name, parameter) in copied.All)
            weights.Add((name, parameter, parameter.detach().clone().DetachFromDisposeScope()));
    }

    /// <summary>Makes a pair of two models.</summary>
    /// <param name="policy">The model to train; disposed with the pair.</param>
    /// <param name="reference">The frozen model, on the same device; disposed with the pair.</param>
    public PolicyReferencePair(CausalLanguageModel policy, CausalLanguageModel reference)
    {
        ArgumentNullException.ThrowIfNull(policy);
        ArgumentNullException.ThrowIfNull(reference);
        Policy = InMode(policy);
        this.reference = reference;
        reference.eval();
        foreach (var parameter in reference.parameters())
            parameter.requires_grad = false;
    }

    /// <summary>The model that is trained; give its parameters, and no others, to the optimizer.</summary>
    public CausalLanguageModel Policy { get; }

    /// <summary>The module that computes the reference's log-probabilities.</summary>
    internal CausalLanguageModel ReferenceModel => reference ?? Policy;

    /// <summary>All tensors the reference's log-probabilities follow from, by name.</summary>
    /// <exception cref="InvalidOperationException">The reference was released.</exception>
    internal IEnumerable<(string Name, Tensor Tensor)> ReferenceState()
    {
        RequireReference();
        var initial = weights.ToDictionary(weight => weight.Name, weight => weight.Initial);
        var parameters = ReferenceModel.named_parameters()
            .Select(named => (named.name, initial.GetValueOrDefault(named.name, named.parameter)));
        return parameters.Concat(ReferenceModel.named_buffers().Select(named => (named.name, named.buffer)));
    }

    /// <summary>SHA-256 of the reference's weights as they are now, without those it shares with the policy; null once it was
    /// released. A run takes it before its first step and before it reads a checkpoint: of the initial weights, where the pair
    /// was made anew.</summary>
    internal string? ReferenceDigest() => released ? null : TensorDigest.Of(
        reference is null ? weights.Select(weight => (weight.Name, weight.Initial)) : ReferenceState());

    /// <summary>Loads a model folder as the policy; the reference is the same model as loaded.</summary>
    /// <param name="folder">A model folder in Hugging Face's layout, or a name on the hub, as
    /// <see cref="CausalLanguageModel.Load"/> takes it.</param>
    /// <param name="device">Where both live; the CPU by default.</param>
    /// <exception cref="InvalidInputException">The folder cannot be used; the message says why.</exception>
    public static PolicyReferencePair Load(string folder, Device? device = null) => new(CausalLanguageModel.Load(folder, device));

    /// <summary>The log-probabilities of a batch's completions under both models; gradients flow into the policy's only. Call
    /// <c>backward()</c> before this is called again: the reference may run on the policy's parameters.</summary>
    /// <param name="batch">The batch, on the models' device.</param>
    /// <param name="request">What is computed of the policy beside (<see cref="IPreferenceLoss.Needs"/>); by default
    /// nothing.</param>
    /// <returns>Tensors of the current dispose scope.</returns>
    public (CompletionLogProbs Policy, CompletionLogProbs Reference) LogProbs(
        BatchTensors batch, LogProbsRequest? request = null)
    {
        // The reference first: its weights may not be exchanged once the policy's graph holds on to the trained ones.
        var referenceLogProbs = LogProbsOfReference(batch, request);
        return (CompletionLogProbs.Compute(Policy, batch, request, referenceLogProbs), referenceLogProbs);
    }

    /// <summary>The log-probabilities of a batch's completions under the reference, without gradients: those that the batch
    /// carries (<see cref="BatchTensors.ReferencePerToken"/>), or else the reference is run.</summary>
    /// <param name="batch">The batch, on the models' device.</param>
    /// <param name="request">What is computed of the policy beside: where that is a KL, the reference's
    /// <see cref="CompletionLogProbs.Distributions"/> come along.</param>
    /// <returns>Tensors of the current dispose scope.</returns>
    /// <exception cref="InvalidOperationException">The batch carries none, and the reference cannot be run (see
    /// <see cref="WithReference"/>); or it carries some, and a KL is asked for.</exception>
    public CompletionLogProbs LogProbsOfReference(BatchTensors batch, LogProbsRequest? request = null)
    {
        ArgumentNullException.ThrowIfNull(batch);
        using var noGrad = no_grad();
        var ofReference = new LogProbsRequest { Distributions = request is { ReferenceKl: true } };
        if (batch.ReferencePerToken is not { } perToken)
            return WithReference(model => CompletionLogProbs.Compute(model, batch, ofReference));
        return ofReference.Distributions
            ? throw NoDistributions("the batch")
            : new CompletionLogProbs(perToken, batch.Layout.CompletionOffsets);
    }

    /// <summary>Does something with the reference, such as sampling from it, without gradients.</summary>
    /// <param name="use">What to do. The model it is given may be the policy with the reference's weights in place of its own,
    /// which return when it ends: keep no hold of the model, and call this while no graph of the policy awaits its backward
    /// pass.</param>
    /// <returns>What <paramref name="use"/> answers.</returns>
    /// <exception cref="InvalidOperationException">The reference was released, the policy's adapter is merged, or the policy
    /// trains other parameters than when the pair was made.</exception>
    public T WithReference<T>(Func<CausalLanguageModel, T> use)
    {
        ArgumentNullException.ThrowIfNull(use);
        RequireReference();
        using var noGrad = no_grad();
        if (reference is not null)
            return use(reference);
        RequireUnmerged(Policy);
        RequireTrainedAsCopied();

        var trained = weights.ConvertAll(weight => weight.Trained.detach());
        try
        {
            foreach (var (_, parameter, initial) in weights)
                parameter.set_(initial);
            return use(Policy);
        }
        finally
        {
            foreach (var ((_, parameter, _), values) in weights.Zip(trained))
                parameter.set_(values);
            trained.ForEach(values => values.Dispose());
        }
    }

    /// <summary>
    /// Moves the reference towards the policy, ref ← α·policy + (1 − α)·ref, weight by weight (TR-DPO, Gorbatovski et al. 2024).
    /// The trainer does so every <see cref="TrainingOptions.MoveReferenceEvery"/> steps. Of a LoRA adapter it is the two
    /// matrices of each layer that are mixed, not their product.
    /// </summary>
    /// <remarks>Log-probabilities of the reference that data carry are those of the old one: compute them again.</remarks>
    /// <param name="share">α, above 0 and at most 1, which makes the reference the policy as it is now.</param>
    /// <exception cref="InvalidOperationException">The reference was released, is a model of other parameters than the policy, or
    /// the policy trains others than when the pair was made.</exception>
    public void MoveReference(double share)
    {
        if (!(share is > 0 and <= 1))
            throw new ArgumentOutOfRangeException(nameof(share), share, "The reference moves by a share above 0 and at most 1.");
        if (released)
            throw new InvalidOperationException(
                "The reference was released, so there is none to move; keep it where it is to move.");
        RequireTrainedAsCopied();
        using var noGrad = no_grad();
        using var scope = NewDisposeScope();
        foreach (var (values, trained) in reference is null
            ? weights.Select(weight => (weight.Initial, (Tensor)weight.Trained))
            : BothModels(reference))
            values.lerp_(trained.to(values.dtype), zeros([], values.dtype, values.device).FillInPlace(share));
        hasMoved = true;
    }

    /// <summary>The reference's weights, by name, where they have moved: those that <see cref="MoveReference"/> changes. Null
    /// where the reference is as it was made, or was released.</summary>
    internal IReadOnlyList<(string Name, Tensor Tensor)>? MovedReference => hasMoved && !released ? Movable() : null;

    /// <summary>Puts the reference where it had moved to when <see cref="MovedReference"/> was written.</summary>
    /// <exception cref="InvalidInputException">The reference has other weights; it may be half replaced.</exception>
    internal void RestoreReference(IEnumerable<(string Name, Tensor Tensor)> moved)
    {
        using var noGrad = no_grad();
        var missing = Movable().ToDictionary(named => named.Name, named => named.Tensor);
        foreach (var (name, tensor) in moved)
        {
            if (!missing.Remove(name, out var own) || !own.shape.SequenceEqual(tensor.shape))
                throw new InvalidInputException(
                    $"The checkpoint's reference has {name} [{string.Join(", ", tensor.shape)}], and this one has not.");
            own.copy_(tensor);
        }
        if (missing.Count > 0)
            throw new InvalidInputException($"The checkpoint's reference lacks {missing.Keys.First()}.");
        hasMoved = true;
    }

    private IReadOnlyList<(string Name, Tensor Tensor)> Movable() => reference is null
        ? weights.ConvertAll(weight => (weight.Name, weight.Initial))
        : [.. reference.named_parameters().Select(named => (named.name, (Tensor)named.parameter))];

    /// <summary>The reference's parameters and the policy's.</summary>
    private List<(Tensor Reference, Tensor Policy)> BothModels(CausalLanguageModel reference)
    {
        var trained = Policy.named_parameters().ToDictionary(named => named.name, named => (Tensor)named.parameter);
        var both = new List<(Tensor, Tensor)>();
        foreach (var (name, parameter) in reference.named_parameters())
        {
            if (!trained.Remove(name, out var counterpart) || !counterpart.shape.SequenceEqual(parameter.shape))
                throw Differ(name);
            both.Add((parameter, counterpart));
        }
        return trained.Count == 0 ? both : throw Differ(trained.Keys.First());

        static InvalidOperationException Differ(string name) => new(
            $"Policy and reference do not both have a parameter {name} of one shape, so the reference cannot move towards " +
            "the policy; make the pair from the policy alone, or of two models of one kind.");
    }

    /// <summary>
    /// Frees the reference's memory: its weights, as much as the policy's. From here on only data that carries reference
    /// log-probabilities can be trained or evaluated on; compute those of all data first (<c>ReferenceLogProbs.Compute</c>).
    /// </summary>
    public void ReleaseReference()
    {
        released = true;
        reference?.Dispose();
        reference = null;
        weights.ForEach(weight => weight.Initial.Dispose());
        weights.Clear();
    }

    /// <summary>Disposes both models.</summary>
    public void Dispose()
    {
        ReleaseReference();
        Policy.Dispose();
    }

    /// <summary>A policy in the mode that it is trained in: the paper trains without dropout, but for that of an
    /// adapter.</summary>
    internal static CausalLanguageModel InMode(CausalLanguageModel policy)
    {
        if (policy.TrainsInEvaluationMode)
            policy.eval();
        return policy;
    }

    /// <summary>A merged policy does not compute with its adapter, whose initial weights are to stand in for the trained
    /// ones.</summary>
    private static void RequireUnmerged(CausalLanguageModel policy)
    {
        if (policy.IsMerged)
            throw new InvalidOperationException(
                "The policy's adapter is merged, so that the reference cannot be told from it; call UnmergeAdapter first, " +
                "or save the merged model and load that.");
    }

    /// <summary>Refuses a policy that trains other parameters than were copied: a change of theirs would be in the reference as
    /// well, unseen.</summary>
    internal void RequireTrainedAsCopied()
    {
        if (!released)
            copied?.RequireUnchanged("pair");
    }

    /// <summary>Refuses data whose reference log-probabilities would have to be computed, where the reference was
    /// released.</summary>
    internal void RequireReferenceFor(PreferenceData data)
    {
        if (released && data.Find(example => !example.HasReference) is { } example)
            throw new InvalidOperationException(
                $"The reference was released, but the example {example.Source ?? "without a source"} carries no " +
                "log-probabilities of it; compute those of all data, the held-out ones included, with ReferenceLogProbs " +
                "before ReleaseReference is called.");
    }

    /// <summary>Refuses data that carry the reference's log-probabilities where its whole distributions are
    /// needed.</summary>
    internal void RequireDistributionsFor(PreferenceData data)
    {
        if (data.Find(example => example.HasReference) is { } example)
            throw NoDistributions($"the example {example.Source ?? "without a source"}");
        if (released)
            throw new InvalidOperationException(
                "The loss measures the policy's whole distributions against the reference's, and the reference was released; " +
                "leave ReleaseReference out, or take another loss.");
    }

    private static InvalidOperationException NoDistributions(string what) => new(
        $"The loss measures the policy's whole distributions against the reference's, and {what} carries only the reference's " +
        "log-probabilities of its own tokens; train on data without ReferenceLogProbs, or take another loss.");

    private void RequireReference()
    {
        if (released)
            throw new InvalidOperationException(
                "The reference was released and cannot be run; compute the reference log-probabilities of all data with " +
                "ReferenceLogProbs before ReleaseReference is called.");
    }
}
