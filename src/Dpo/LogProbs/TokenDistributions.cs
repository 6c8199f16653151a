using Dpo.Models;
using static TorchSharp.torch;

namespace Dpo.LogProbs;

/// <summary>
/// A model's distributions over the vocabulary, one for each place in a batch from which a completion's token is predicted: what
/// the KL of another model is measured against (<see cref="CompletionLogProbs.ReferenceKl"/>). Not the distributions themselves,
/// but the hidden states and the output head that they follow from.
/// </summary>
public sealed class TokenDistributions
{
    /// <summary>Takes them of a model; no gradient flows into it.</summary>
    /// <param name="head">The model's head.</param>
    /// <param name="states">The hidden states that predict, <c>[R, D]</c>.</param>
    internal TokenDistributions(OutputHead head, Tensor states)
    {
        // A handle of its own keeps a weight's values, which may be another model's behind the parameter in a moment.
        Head = new OutputHead(head.Weight?.detach(), head.Bias?.detach(), head.SoftCap) { LowRank = head.LowRank?.detach() };
        States = states.detach();
    }

    /// <summary>The head.</summary>
    internal OutputHead Head { get; }

    /// <summary>The hidden states, <c>[R, D]</c>.</summary>
    internal Tensor States { get; }

    /// <summary>How many entries the vocabulary has.</summary>
    internal long Vocabulary => Head.Weight?.shape[0] ?? States.shape[1];

    /// <summary>Keeps its tensors alive beyond the current dispose scope.</summary>
    internal void MoveToOuterDisposeScope()
    {
        foreach (var tensor in (Tensor?[])[Head.Weight, Head.Bias, Head.LowRank, States])
            tensor?.MoveToOuterDisposeScope();
    }
}
