using static TorchSharp.torch;

namespace Dpo.Benchmarks;

/// <summary>
/// A step of DPO as TRL and the paper's code compute it: the prompt in front of each completion, chosen and rejected in one
/// padded batch, the logits of every token, and the reference run in every step.
/// </summary>
internal sealed class ReferenceAlgorithm
{
    private readonly long sequences;
    private readonly long length;
    private readonly Tensor ids;
    private readonly Tensor next;
    private readonly Tensor predicts;

    /// <summary>Pads a batch: chosen sequences, then rejected ones. Tensors belong to the current dispose scope.</summary>
    public ReferenceAlgorithm(PreferenceBatch batch)
    {
        sequences = 2 * batch.Examples.Count;
        length = batch.Examples.Max(example => example.Prompt.Count + example.Completions.Max(completion => completion.Count));
        var (tokens, targets, mask) = (new long[sequences * length], new long[sequences * length], new float[sequences * length]);
        for (var sequence = 0; sequence < sequences; sequence++)
        {
            var example = batch.Examples[sequence % batch.Examples.Count];
            var completion = example.Completions[sequence < batch.Examples.Count ? example.Pairs[0].Chosen : example.Pairs[0].Rejected];
            var (begin, position) = (sequence * length, 0);
            foreach (var id in example.Prompt.Concat(completion))
            {
                tokens[begin + position] = id;
                if (position > 0)
                    targets[begin + position - 1] = id;
                if (position >= example.Prompt.Count)
                    mask[begin + position - 1] = 1;
                position++;
            }
        }
        (ids, next, predicts) = (tensor(tokens), tensor(targets).unsqueeze(1), tensor(mask));
    }

    /// <summary>The loss of every pair.</summary>
    public Tensor Losses(TransformerModel policy, TransformerModel reference, DpoLoss loss)
    {
        var policyLogProbs = LogProbs(policy).chunk(2);
        var referenceLogProbs = Reference().chunk(2);
        return loss.Losses(new PairLogProbs(policyLogProbs[0], policyLogProbs[1], referenceLogProbs[0], referenceLogProbs[1]));

        Tensor Reference()
        {
            using var noGrad = no_grad();
            return LogProbs(reference);
        }
    }

    /// <summary>Sums over the completion's tokens, <c>[sequences]</c>. Only what autograd keeps outlives the call, as in Python.</summary>
    private Tensor LogProbs(TransformerModel model)
    {
        using var scope = NewDisposeScope();
        var hidden = model.HiddenStates(ids, new PaddedAttention(sequences, length));
        Tensor allLogProbs;
        using (var logits = model.Head.Logits(hidden))
            allLogProbs = nn.functional.log_softmax(logits, 1);
        var perToken = allLogProbs.gather(1, next).squeeze(1) * predicts;
        return perToken.view(sequences, length).sum(1).MoveToOuterDisposeScope();
    }
}
