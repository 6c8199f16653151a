using System.Diagnostics;
using static TorchSharp.torch;

namespace Dpo.Benchmarks;

/// <summary>What to measure: training of a shape on batches of the given lengths, in bf16.</summary>
/// <param name="Shape">The model's.</param>
/// <param name="Device">Where.</param>
/// <param name="Cached">Whether the reference's log-probabilities are computed before.</param>
/// <param name="MicroBatchTokens">What is computed at once.</param>
/// <param name="WarmUp">Steps that are not counted.</param>
/// <param name="Batches">A batch a step.</param>
internal sealed record DeviceSpeedRequest(string Shape, string Device, bool Cached, int MicroBatchTokens, int WarmUp, PairLengths[][] Batches);

/// <summary>What was measured.</summary>
/// <param name="Seconds">Of every step that counts, optimizer and metrics included.</param>
/// <param name="PeakBytes">Of the device's memory, above what stood before the process put its model there.</param>
/// <param name="WeightBytes">The policy's weights, the reference's copy of them, gradients and the optimizer's state among it.</param>
/// <param name="Launches">Kernels a step; null where they were not counted.</param>
/// <param name="Waits">How often one waited for the device in a step; null likewise.</param>
/// <param name="Loss">The last step's.</param>
internal sealed record DeviceSpeedMeasurement(double[] Seconds, long PeakBytes, long WeightBytes, double? Launches, double? Waits, double Loss);

/// <summary>Measures whole steps of <see cref="DpoTrainer"/>: reference, policy, loss, backward, clipping, AdamW.</summary>
internal static class DeviceSpeed
{
    public const string Child = "device-speed-child";

    public static DeviceSpeedMeasurement Measure(DeviceSpeedRequest request)
    {
        var on = new Device(request.Device);
        DeviceMemory.Wait(on);
        empty([1], device: on).Dispose();
        var before = DeviceMemory.Peak(on);
        var model = DeviceModel.Draw(request.Shape, on);
        model.Precision = Precision.BFloat16;
        var data = new PreferenceData(request.Batches.SelectMany(batch => Workload.Batch(batch, model.VocabularySize).Examples));
        using var pair = new PolicyReferencePair(model);
        if (request.Cached)
        {
            data = ReferenceLogProbs.Compute(pair, data, request.MicroBatchTokens);
            pair.ReleaseReference();
        }
        var weights = model.parameters().Sum(parameter => parameter.numel()) * 4L;
        using var trainer = new DpoTrainer(pair, options: new TrainingOptions
        {
            Optimizer = OptimizerKind.AdamW,
            LearningRate = 1e-6,
            BatchSize = request.Batches[0].Length,
            MicroBatchTokens = request.MicroBatchTokens,
            Steps = request.Batches.Length,
            Shuffle = false,
        });
        var (seconds, loss) = (new List<double>(), 0.0);
        var (launches, waits) = (new List<long>(), new List<long>());
        var clock = Stopwatch.StartNew();
        trainer.Train(data, progress: new StepReports(step =>
        {
            DeviceMemory.Wait(on);
            seconds.Add(clock.Elapsed.TotalSeconds);
            launches.Add(Launches.Kernels);
            waits.Add(Launches.Waits);
            loss = step["loss"];
        }));
        var counted = seconds.Count - request.WarmUp;
        double? EachStep(List<long> counts) => Launches.AreCounted ? (double)(counts[^1] - counts[request.WarmUp - 1]) / counted : null;
        return new DeviceSpeedMeasurement(
            [.. seconds.Zip(seconds.Skip(1), (begin, end) => end - begin).Skip(request.WarmUp - 1)],
            DeviceMemory.Peak(on) - before, (request.Cached ? 4 : 5) * weights, EachStep(launches), EachStep(waits), loss);
    }
}
