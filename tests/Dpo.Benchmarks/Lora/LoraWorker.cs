using static TorchSharp.torch;

namespace Dpo.Benchmarks;

/// <summary>How a row of <c>lora</c> trains.</summary>
internal enum LoraRow
{
    /// <summary>All weights.</summary>
    Full,

    /// <summary>An adapter.</summary>
    Adapter,

    /// <summary>An adapter over a base in bf16.</summary>
    AdapterOverBFloat16,
}

/// <summary>What to measure: a row on batches of the given lengths; whole steps, or what only a forward and backward pass of the
/// policy takes.</summary>
internal sealed record LoraRequest(string Shape, LoraRow Row, int Rank, bool WholeStep, PairLengths[][] Batches);

/// <summary>Measures one row of <c>lora</c> by RMSprop with a live reference.</summary>
internal static class LoraWorker
{
    private const int AllTokens = int.MaxValue;

    public static Measurement Run(LoraRequest request)
    {
        // A small model on a short pair first: compiles the code and starts the threads.
        PairLengths[][] shortBatch = [[new PairLengths(2, 2, 2)]];
        Measure(request with { Shape = "gpt2-tiny", Batches = shortBatch });
        return Measure(request);
    }

    /// <summary>The model that a row trains.</summary>
    public static Gpt2 Policy(string shape, LoraRow row, int rank)
    {
        var policy = new Gpt2(ModelShapes.Config(shape));
        if (row != LoraRow.Full)
            policy.AddLora(new LoraOptions { Rank = rank, BaseInBFloat16 = row == LoraRow.AdapterOverBFloat16 });
        return policy;
    }

    private static Measurement Measure(LoraRequest request)
    {
        var bare = new Probe();
        var policy = Policy(request.Shape, request.Row, request.Rank);
        var batches = Array.ConvertAll(request.Batches, lengths => Workload.Batch(lengths, policy.VocabularySize));
        using var pair = request.WholeStep ? new PolicyReferencePair(policy) : null;
        using var trainer = pair is null ? null : new DpoTrainer(pair, options: new TrainingOptions { Steps = 1, MicroBatchTokens = AllTokens });
        if (!request.WholeStep)
            policy.StandWithGradients();
        var probe = new Probe();
        var measured = probe.Run(batches.Length, index =>
        {
            if (trainer is not null)
                trainer.Train(new PreferenceData(batches[index].Examples));
            else
                Pass(policy, batches[index]);
            return 0;
        }, before: () =>
        {
            if (trainer is null)
                policy.zero_grad();
        });
        return measured with { PeakBytes = measured.PeakBytes + probe.Standing - bare.Standing };
    }

    private static void Pass(Gpt2 policy, PreferenceBatch batch)
    {
        using var scope = NewDisposeScope();
        CompletionLogProbs.Compute(policy, batch.To(CPU)).Sums.sum().backward();
    }
}
