using TorchSharp.Modules;
using static TorchSharp.torch;

namespace Dpo;

/// <summary>
/// The policy that is trained and the reference it is measured against. The reference is frozen: it is in evaluation mode,
/// sees no gradient and shares no parameter with the policy.
/// </summary>
/// <remarks>
/// <para>The reference must be the model the policy started from, or rewards do not start at 0. So the usual pair is made from
/// the policy alone and keeps a copy of its initial weights, which stand in for the trained ones while the reference is
/// computed; this works for any module.</para>
/// <para>Both models run through the same code at the same precision, so that their difference is exactly 0 at the start.
/// The policy is put into evaluation mode too: the paper trains without dropout.</para>
/// </remarks>
public sealed class PolicyReferencePair : IDisposable
{
    private readonly CausalLanguageModel? reference;
    private readonly List<(Parameter Trained, Tensor Initial)> weights = [];

    /// <summary>Makes a pair whose reference is the policy as it is now.</summary>
    /// <param name="policy">The model to train; disposed with the pair.</param>
    public PolicyReferencePair(CausalLanguageModel policy)
    {
        ArgumentNullException.ThrowIfNull(policy);
        Policy = policy;
        policy.eval();
        using var scope = NewDisposeScope();
        using var noGrad = no_grad();
        foreach (var parameter in policy.parameters())
            weights.Add((parameter, parameter.detach().clone().DetachFromDisposeScope()));
    }

    /// <summary>Makes a pair of two models.</summary>
    /// <param name="policy">The model to train; disposed with the pair.</param>
    /// <param name="reference">The frozen model, on the same device; disposed with the pair.</param>
    public PolicyReferencePair(CausalLanguageModel policy, CausalLanguageModel reference)
    {
        ArgumentNullException.ThrowIfNull(policy);
        ArgumentNullException.ThrowIfNull(reference);
        Policy = policy;
        policy.eval();
        this.reference = reference;
        reference.eval();
        foreach (var parameter in reference.parameters())
            parameter.requires_grad = false;
    }

    /// <summary>The model that is trained; give its parameters, and no others, to the optimizer.</summary>
    public CausalLanguageModel Policy { get; }

    /// <summary>Loads a model folder as the policy; the reference is the same model as loaded.</summary>
    /// <param name="folder">A model folder in Hugging Face's layout.</param>
    /// <param name="device">Where both live; the CPU by default.</param>
    /// <exception cref="InvalidInputException">The folder cannot be used; the message says why.</exception>
    public static PolicyReferencePair Load(string folder, Device? device = null) => new(CausalLanguageModel.Load(folder, device));

    /// <summary>The log-probabilities of a batch's completions under both models; gradients flow into the policy's only.</summary>
    /// <param name="batch">The batch, on the models' device.</param>
    /// <returns>Tensors of the current dispose scope.</returns>
    public (CompletionLogProbs Policy, CompletionLogProbs Reference) LogProbs(BatchTensors batch)
    {
        // The reference first: its weights may not be exchanged once the policy's graph holds on to the trained ones.
        var referenceLogProbs = ReferenceLogProbs(batch);
        return (CompletionLogProbs.Compute(Policy, batch), referenceLogProbs);
    }

    /// <summary>The log-probabilities of a batch's completions under the reference, without gradients.</summary>
    /// <param name="batch">The batch, on the models' device.</param>
    /// <returns>Tensors of the current dispose scope.</returns>
    public CompletionLogProbs ReferenceLogProbs(BatchTensors batch)
    {
        using var noGrad = no_grad();
        if (reference is not null)
            return CompletionLogProbs.Compute(reference, batch);

        var trained = weights.ConvertAll(pair => pair.Trained.detach());
        try
        {
            foreach (var (parameter, initial) in weights)
                parameter.set_(initial);
            return CompletionLogProbs.Compute(Policy, batch);
        }
        finally
        {
            foreach (var ((parameter, _), values) in weights.Zip(trained))
                parameter.set_(values);
            trained.ForEach(values => values.Dispose());
        }
    }

    /// <summary>Disposes both models.</summary>
    public void Dispose()
    {
        Policy.Dispose();
        reference?.Dispose();
        weights.ForEach(pair => pair.Initial.Dispose());
    }
}
