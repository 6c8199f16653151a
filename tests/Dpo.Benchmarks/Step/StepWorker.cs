using static TorchSharp.torch;

namespace Dpo.Benchmarks;

/// <summary>What to measure: a row of the table on batches of the given lengths.</summary>
internal sealed record StepRequest(string Shape, string Row, PairLengths[][] Batches);

/// <summary>Measures one row of <c>step</c>: log-probabilities under policy and reference, loss and backward.</summary>
internal static class StepWorker
{
    public static Measurement Run(StepRequest request)
    {
        // Two different models: with equal ones the loss is ln 2 however wrong its log-probabilities are.
        var shape = ModelShapes.Config(request.Shape);
        var (policy, reference) = (new Gpt2(shape, seed: 0), new Gpt2(shape, seed: 1));
        using var pair = new PolicyReferencePair(policy, reference);
        policy.Precision = reference.Precision = request.Row == StepCommand.CachedBf16 ? Precision.BFloat16 : Precision.Float32;
        using var loss = new DpoLoss();

        // A batch of one short pair first: compiles the code and starts the threads, so that their memory is not the step's.
        PairLengths[][] all = [[new PairLengths(2, 2, 2)], .. request.Batches];
        var batches = all.Select(lengths => Workload.Batch(lengths, shape.VocabularySize)).ToArray();
        var step = Steps(request.Row, policy, reference, pair, loss, batches);
        step(0);
        policy.StandWithGradients();
        return new Probe().Run(request.Batches.Length, index => step(index + 1), before: () => policy.zero_grad());
    }

    /// <summary>Runs the step of a batch's index and answers with its loss.</summary>
    private static Func<int, double> Steps(
        string row, Gpt2 policy, Gpt2 reference, PolicyReferencePair pair, DpoLoss loss, PreferenceBatch[] batches)
    {
        if (row is StepCommand.Cached or StepCommand.CachedBf16)
        {
            batches = Array.ConvertAll(batches, batch =>
                new PreferenceBatch(ReferenceLogProbs.Compute(pair, new PreferenceData(batch.Examples)).Examples));
            pair.ReleaseReference();
        }
        return index =>
        {
            using var scope = NewDisposeScope();
            var mean = (row == StepCommand.ReferenceAlgorithm
                ? new ReferenceAlgorithm(batches[index]).Losses(policy, reference, loss)
                : Losses(batches[index].To(CPU))).mean();
            mean.backward();
            return mean.item<float>();
        };

        Tensor Losses(BatchTensors batch)
        {
            var (policyLogProbs, referenceLogProbs) = pair.LogProbs(batch);
            return loss.call(policyLogProbs.Sums, referenceLogProbs.Sums, batch.Chosen, batch.Rejected).Losses;
        }
    }
}
