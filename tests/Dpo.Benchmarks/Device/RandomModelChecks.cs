using static TorchSharp.torch;

namespace Dpo.Benchmarks;

/// <summary>A random model on a device against the same on the CPU, where the library's numbers are proven.</summary>
internal sealed class RandomModelChecks(string shape, Device device) : IDisposable
{
    private static readonly string[] Metrics = ["loss", "rewards/margins", "logps/chosen", "grad_norm"];

    // Drawing weights takes longer than copying them.
    private readonly TransformerModel source = DeviceModel.Make(shape);

    private readonly PairLengths[] lengths = [new(37, 21, 30), new(90, 12, 5), new(8, 60, 64), new(33, 1, 2), new(70, 40, 41), new(12, 9, 3)];

    public IEnumerable<Check> Run()
    {
        yield return Check.Of($"{shape}: log-probabilities, fp32, against the CPU's", 1e-4, () => LogProbs(Precision.Float32));
        yield return Check.Of($"{shape}: log-probabilities, bf16, against the CPU's fp32", 0.05, () => LogProbs(Precision.BFloat16));
        yield return Check.Of($"{shape}: gradients, fp32, ‖difference‖ / ‖gradient‖", 1e-3, () => Gradients(Precision.Float32));
        yield return Check.Of($"{shape}: gradients, bf16, ‖difference‖ / ‖gradient‖", 0.08, () => Gradients(Precision.BFloat16));
        yield return Check.Of($"{shape}: gradients, bf16, checkpointed against kept, ‖difference‖ / ‖gradient‖", 0.02, Checkpointed);
        yield return Check.Of($"{shape}: shared prompts against plain sequences, fp32", 1e-4, () => Shared(Precision.Float32));
        yield return Check.Of($"{shape}: shared prompts against plain sequences, bf16", 0.05, () => Shared(Precision.BFloat16));
        foreach (var optimizer in Enum.GetValues<OptimizerKind>())
            yield return Check.Of($"{shape}: five updates by {optimizer}, fp32, against the CPU's", 1e-3, () => Updates(optimizer));
        yield return Check.Of($"{shape}: sampling, share of tokens before a first difference missing", 0.1, Sampled);
    }

    public void Dispose() => source.Dispose();

    private double LogProbs(Precision precision) => Check.Worst(LogProbs(device, precision, lengths), LogProbs(CPU, Precision.Float32, lengths));

    private double[] LogProbs(Device on, Precision precision, IEnumerable<PairLengths> pairs)
    {
        using var scope = NewDisposeScope();
        using var noGrad = no_grad();
        using var model = DeviceModel.Copy(shape, source, on);
        model.Precision = precision;
        return Doubles(CompletionLogProbs.Compute(model, Workload.Batch(pairs, model.VocabularySize).To(on)).PerToken);
    }

    /// <summary>The same completions, each an example of its own.</summary>
    private double Shared(Precision precision)
    {
        using var scope = NewDisposeScope();
        using var noGrad = no_grad();
        using var model = DeviceModel.Copy(shape, source, device);
        model.Precision = precision;
        var batch = Workload.Batch(lengths, model.VocabularySize);
        var plain = new PreferenceBatch([.. batch.Examples.SelectMany(example => example.Completions.Select(completion =>
            new TokenizedExample(example.Prompt, [completion], [])))]);
        return Check.Worst(
            Doubles(CompletionLogProbs.Compute(model, batch.To(device)).PerToken), Doubles(CompletionLogProbs.Compute(model, plain.To(device)).PerToken));
    }

    private double Gradients(Precision precision)
    {
        using var model = DeviceModel.Copy(shape, source, device);
        using var onCpu = DeviceModel.Copy(shape, source, CPU);
        model.Precision = precision;
        Backward(model, device);
        Backward(onCpu, CPU);
        return WorstGradient(model, onCpu);
    }

    private double Checkpointed()
    {
        using var kept = DeviceModel.Copy(shape, source, device);
        using var again = DeviceModel.Copy(shape, source, device);
        again.CheckpointActivations = true;
        again.Precision = kept.Precision = Precision.BFloat16;
        Backward(kept, device);
        Backward(again, device);
        return WorstGradient(again, kept);
    }

    private void Backward(TransformerModel model, Device on)
    {
        using var scope = NewDisposeScope();
        using var loss = new DpoLoss(beta: 1);
        var batch = Workload.Batch(lengths, model.VocabularySize).To(on);
        var logProbs = CompletionLogProbs.Compute(model, batch);
        loss.call(logProbs.Sums, logProbs.Sums.detach(), batch.Chosen, batch.Rejected).Losses.mean().backward();
        BackwardFailure.Rethrow();
    }

    private static double WorstGradient(TransformerModel model, TransformerModel expected) =>
        model.named_parameters().Zip(expected.named_parameters()).Max(both =>
        {
            using var scope = NewDisposeScope();
            var (actual, right) = (both.First.parameter.grad!.cpu().to(float64), both.Second.parameter.grad!.cpu().to(float64));
            return ((actual - right).norm() / right.norm()).item<double>();
        });

    private double Updates(OptimizerKind optimizer) => Check.Worst(Updates(device, optimizer), Updates(CPU, optimizer));

    private double[] Updates(Device on, OptimizerKind optimizer)
    {
        using var pair = new PolicyReferencePair(DeviceModel.Copy(shape, source, on));
        using var trainer = new DpoTrainer(pair, options: new TrainingOptions
        {
            Optimizer = optimizer,
            LearningRate = 1e-5,
            BatchSize = lengths.Length,
            MicroBatchTokens = 400,
            Steps = 5,
            Shuffle = false,
            MaxGradNorm = 1,
        });
        var metrics = new List<double>();
        var data = new PreferenceData(Workload.Batch(lengths, ((TransformerModel)pair.Policy).VocabularySize).Examples);
        trainer.Train(data, progress: new StepReports(step => metrics.AddRange(Metrics.Select(name => step[name]))));
        return [.. metrics];
    }

    /// <summary>Rounding changes a draw where it lies at a border, and all that follows: so tokens before the first difference are counted.</summary>
    private double Sampled()
    {
        using var model = DeviceModel.Copy(shape, source, device);
        using var onCpu = DeviceModel.Copy(shape, source, CPU);
        var options = new SamplingOptions { MaxNewTokens = 24, SamplesPerPrompt = 4, Temperature = 0.8, TopP = 0.95 };
        int[][] prompts = [[1, 2, 3], [50, 60], [7, 8, 9, 10, 11]];
        var both = Sampler.Sample(model, prompts, options).Zip(Sampler.Sample(onCpu, prompts, options)).ToArray();
        var same = both.Sum(pair => pair.First.Tokens.Zip(pair.Second.Tokens).TakeWhile(tokens => tokens.First == tokens.Second).Count());
        return 1 - ((double)same / both.Sum(pair => pair.Second.Tokens.Count));
    }

    private static double[] Doubles(Tensor values) => [.. values.cpu().data<float>().Select(value => (double)value)];
}
