using System.Globalization;
using Spectre.Console;

namespace Dpo.Benchmarks;

/// <summary>What is trained on.</summary>
/// <param name="Shape">The model's.</param>
/// <param name="Pairs"><c>hh</c> for pairs of Helpful-Harmless's lengths, or a number of tokens that every sequence has, half of them prompt.</param>
/// <param name="Batch">Pairs a step.</param>
/// <param name="MicroBatchTokens">What is computed at once.</param>
internal sealed record DeviceWorkload(string Shape, string Pairs, int Batch, int MicroBatchTokens)
{
    /// <summary>Batches of it.</summary>
    public PairLengths[][] Batches(int count)
    {
        if (Pairs == "hh")
            return Workload.Generate(Batch, count);
        var half = int.Parse(Pairs, CultureInfo.InvariantCulture) / 2;
        return [.. Enumerable.Repeat(Enumerable.Repeat(new PairLengths(half, half, half), Batch).ToArray(), count)];
    }

    public override string ToString() => $"{Shape}, {(Pairs == "hh" ? "HH lengths" : $"{Pairs}-token pairs")}, batches of {Batch}";
}

/// <summary>A row of the table, as JSON has it. Figures are null where there is a failure, launches and waits also where nobody counted.</summary>
internal sealed record DeviceSpeedRow(
    string Workload, string Row, string? Failure = null, double? PairsPerS = null, double? UsefulTokensPerS = null, double? UsefulShare = null,
    long? PeakBytes = null, long? BytesAboveWeights = null, double? Launches = null, double? Waits = null, double[]? Seconds = null, double? Loss = null);

/// <summary>The speed of training on a device, and its table.</summary>
internal static class DeviceSpeeds
{
    /// <summary>Measures all rows, each in a process of its own, and shows them.</summary>
    public static DeviceSpeedRow[] Show(string device, bool quick, string? peer)
    {
        DeviceWorkload[] workloads = quick
            ? [new("gpt2-quick", "hh", 4, 1024)]
            : [new("gpt2-124m", "hh", 64, 16384), new("llama-1b", "hh", 64, 16384), new("llama-1b", "1024", 32, 16384)];
        var (warmUp, timed) = quick ? (1, 2) : (8, 8);
        var peak = ChildProcess.Run<DevicePeak.Request, double>(DevicePeak.Child, new(device, quick ? 256 : 8192));
        Report.Line($"Peak of bf16 matrix products: {peak / 1e12:0.0} TFLOP/s.");
        string[] names = ["live", "cached", .. peer is null ? Array.Empty<string>() : ["peer"]];
        DeviceSpeedRow[] rows =
        [
            .. from workload in workloads
               let batches = workload.Batches(warmUp + timed)
               from name in names
               let request = new DeviceSpeedRequest(workload.Shape, device, name == "cached", workload.MicroBatchTokens, warmUp, batches)
               select Measure(workload, name, request, peer, peak),
        ];
        Print(rows);
        return rows;
    }

    private static DeviceSpeedRow Measure(DeviceWorkload workload, string name, DeviceSpeedRequest request, string? peer, double peak)
    {
        var attempt = Attempt<DeviceSpeedMeasurement>.To(() => name == "peer"
            ? Peer.Run(peer!, request)
            : ChildProcess.Run<DeviceSpeedRequest, DeviceSpeedMeasurement>(DeviceSpeed.Child, request));
        if (attempt.Value is not { } measured)
            return new DeviceSpeedRow($"{workload}", name, attempt.Failure);

        var counted = request.Batches[request.WarmUp..];
        var seconds = measured.Seconds.Sum();
        // Backward costs twice the forward; a live reference is one forward more.
        var useful = counted.Sum(DeviceModel.Flops(workload.Shape).Useful) * (request.Cached ? 3 : 4);
        var pairs = counted.Sum(batch => batch.Length) / seconds;
        Console.Error.WriteLine($"{workload}, {name}: {pairs:0.0} pairs/s.");
        return new DeviceSpeedRow(
            $"{workload}", name, null, pairs, counted.Sum(batch => batch.Sum(pair => pair.UsefulTokens)) / seconds, useful / seconds / peak,
            measured.PeakBytes, measured.PeakBytes - measured.WeightBytes, measured.Launches, measured.Waits, measured.Seconds, measured.Loss);
    }

    private static void Print(DeviceSpeedRow[] rows)
    {
        var table = Report.Table(
            "what", "", "pairs/s", "useful tokens/s", "useful FLOPs of the peak", "peak GB", "GB above weights and states", "launches a step", "waits a step");
        foreach (var row in rows)
        {
            if (row.Failure is { } failure)
                table.AddRow(row.Workload, row.Row, Markup.Escape(failure));
            else
                table.AddRow(
                    row.Workload, row.Row, $"{row.PairsPerS:0.0}", $"{row.UsefulTokensPerS:0}", $"{row.UsefulShare:P1}", $"{row.PeakBytes / 1e9:0.00}",
                    $"{row.BytesAboveWeights / 1e9:0.00}", $"{row.Launches:0}", $"{row.Waits:0.0}");
        }
        Report.Show(table);
    }
}
