using System.CommandLine;
using System.Diagnostics;
using System.Text.Json;
using Dpo.Samples;
using Spectre.Console;
using static TorchSharp.torch;

namespace Dpo.Benchmarks;

/// <summary><c>device</c>: whether a device computes what it should, and how fast.</summary>
internal static class DeviceCommand
{
    public const string CheckChild = "device-check-child";

    private static readonly JsonSerializerOptions Style = new() { PropertyNamingPolicy = JsonNamingPolicy.SnakeCaseLower, WriteIndented = true };

    /// <summary>What a process is to check: the fixtures, or a random model by the name of its shape.</summary>
    internal sealed record CheckRequest(string Device, string Of, bool Quick);

    /// <summary>A row of the table of speeds.</summary>
    /// <param name="Shape">The model's.</param>
    /// <param name="Pairs">What pairs: <c>hh</c>, or a length in tokens that all have.</param>
    /// <param name="Batch">Pairs a step.</param>
    /// <param name="MicroBatchTokens">What is computed at once.</param>
    private sealed record Workload(string Shape, string Pairs, int Batch, int MicroBatchTokens)
    {
        public override string ToString() => $"{Shape}, {(Pairs == "hh" ? "HH lengths" : $"{Pairs}-token pairs")}, batches of {Batch}";
    }

    public static Command Create()
    {
        var command = new Command("device", "Checks a device's numbers against recorded ones and the CPU's, then measures its speed.");
        var device = CliOption.Choice("--device", "Where.", "cuda", "cpu");
        var quick = new Option<bool>("--quick") { Description = "Tiny models, a few steps: a test of this command itself." };
        var only = CliOption.Choice("--only", "A part of it.", "all", "checks", "speed", "generation");
        var peer = CliOption.Path("--peer", "PYTHON", "Also run peer.py by this Python, with PyTorch and transformers.");
        var json = CliOption.Path("--json", "FILE", "Also write the figures as JSON.");
        command.Options.Add(device);
        command.Options.Add(quick);
        command.Options.Add(only);
        command.Options.Add(peer);
        command.Options.Add(json);
        command.SetAction(parsed => Run(
            parsed.GetValue(device)!, parsed.GetValue(quick), parsed.GetValue(only)!, parsed.GetValue(peer), parsed.GetValue(json)));
        return command;
    }

    public static Check[] RunChecks(CheckRequest request)
    {
        // Matrix products of fp32 in fp32: TF32 rounds their factors to 10 bits.
        if (request.Device == "cuda")
            backends.cuda.matmul.allow_tf32 = false;
        var on = new Device(request.Device);
        if (request.Of == "fixtures")
            return [.. new FixtureChecks(on, request.Quick).Run()];
        using var checks = new RandomModelChecks(request.Of, on);
        return [.. checks.Run()];
    }

    private static int Run(string device, bool quick, string only, string? peer, string? json)
    {
        var checks = only is "all" or "checks" ? Checks(device, quick) : [];
        var speeds = only is "all" or "speed" ? Speeds(device, quick, peer) : [];
        var generation = only is "all" or "generation" ? Generation(device, quick) : [];
        if (json is not null)
            File.WriteAllText(json, JsonSerializer.Serialize(new { device, quick, checks, speeds, generation }, Style) + "\n");
        return checks.All(check => check.Holds) ? 0 : 1;
    }

    private static Check[] Checks(string device, bool quick)
    {
        string[] what = ["fixtures", .. quick ? (string[])["llama-quick"] : ["gpt2-124m", "llama-100m"]];
        Check[] checks = [.. what.SelectMany(of => Answer(
            () => ChildProcess.Run<CheckRequest, Check[]>(CheckChild, new(device, of, quick)), failure => [new Check(of, 0, 0, failure)]))];
        Console.Error.WriteLine($"{checks.Count(check => check.Holds)} of {checks.Length} checks hold.");
        var table = Report.Table("check", "deviation", "at most", "");
        foreach (var check in checks)
            table.AddRow(check.Name, check.Failure is null ? $"{check.Deviation:0.0e+0}" : "", $"{check.Tolerance:g3}", check.Holds ? "holds" : Markup.Escape(check.Failure ?? "FAILS"));
        Report.Show(table);
        return checks;
    }

    private static object[] Speeds(string device, bool quick, string? peer)
    {
        Workload[] workloads = quick
            ? [new("gpt2-quick", "hh", 4, 1024)]
            : [new("gpt2-124m", "hh", 64, 16384), new("llama-1b", "hh", 64, 16384), new("llama-1b", "1024", 32, 16384)];
        var (warmUp, timed) = quick ? (1, 2) : (8, 8);
        var peak = ChildProcess.Run<DevicePeak.Request, double>(DevicePeak.Child, new(device, quick ? 256 : 8192));
        Report.Line($"Peak of bf16 matrix products: {peak / 1e12:0.0} TFLOP/s.");
        var rows = new List<object>();
        var table = Report.Table(
            "what", "", "pairs/s", "useful tokens/s", "useful FLOPs of the peak", "peak GB", "GB above weights and states", "launches a step", "waits a step");
        foreach (var workload in workloads)
        {
            var batches = Batches(workload, warmUp + timed);
            var counted = batches[warmUp..];
            var useful = counted.Sum(DeviceModel.Flops(workload.Shape).Useful);
            foreach (var row in (string[])["live", "cached", .. peer is null ? Array.Empty<string>() : ["peer"]])
            {
                var request = new DeviceSpeedRequest(workload.Shape, device, row == "cached", workload.MicroBatchTokens, warmUp, batches);
                var failure = "";
                var measured = Answer<DeviceSpeedMeasurement?>(
                    () => row == "peer"
                        ? Peer(peer!, request)
                        : ChildProcess.Run<DeviceSpeedRequest, DeviceSpeedMeasurement>(DeviceSpeed.Child, request),
                    message =>
                    {
                        failure = message;
                        return null;
                    });
                if (measured is null)
                {
                    table.AddRow(workload.ToString(), row, Markup.Escape(failure));
                    rows.Add(new { workload = workload.ToString(), row, failure });
                    continue;
                }
                var seconds = measured.Seconds.Sum();
                var figures = new
                {
                    workload = workload.ToString(),
                    row,
                    pairs_per_s = counted.Sum(batch => batch.Length) / seconds,
                    useful_tokens_per_s = counted.Sum(batch => batch.Sum(pair => pair.UsefulTokens)) / seconds,
                    useful_share = useful * (row == "cached" ? 3 : 4) / seconds / peak,
                    peak_bytes = measured.PeakBytes,
                    bytes_above_weights = measured.PeakBytes - measured.WeightBytes,
                    launches = measured.Launches,
                    waits = measured.Waits,
                    seconds = measured.Seconds,
                    loss = measured.Loss,
                };
                rows.Add(figures);
                Console.Error.WriteLine($"{workload}, {row}: {figures.pairs_per_s:0.0} pairs/s.");
                table.AddRow(
                    figures.workload, row, $"{figures.pairs_per_s:0.0}", $"{figures.useful_tokens_per_s:0}", $"{figures.useful_share:P1}",
                    $"{figures.peak_bytes / 1e9:0.00}", $"{figures.bytes_above_weights / 1e9:0.00}", $"{figures.launches:0}", $"{figures.waits:0.0}");
            }
        }
        Report.Show(table);
        return [.. rows];
    }

    private static object[] Generation(string device, bool quick)
    {
        var table = Report.Table("generation", "batch", "tokens/s");
        var rows = new List<object>();
        foreach (var (shape, batch) in quick ? [("gpt2-quick", 2)] : ((string, int)[])[("gpt2-124m", 1), ("gpt2-124m", 32), ("gpt2-124m", 256), ("llama-1b", 1), ("llama-1b", 32), ("llama-1b", 256)])
        {
            var failure = "";
            var rate = Answer(
                () => ChildProcess.Run<DeviceGenerationRequest, double>(DeviceGeneration.Child, new(shape, device, batch, quick ? 8 : 128)),
                message =>
                {
                    failure = message;
                    return 0.0;
                });
            Console.Error.WriteLine($"{shape}, batch {batch}: {rate:0} tokens/s.");
            table.AddRow(shape, $"{batch}", failure == "" ? $"{rate:0}" : Markup.Escape(failure));
            rows.Add(new { shape, batch, tokens_per_s = rate, failure });
        }
        Report.Show(table);
        return [.. rows];
    }

    /// <summary>The PyTorch algorithm in <c>peer.py</c> on the same lengths.</summary>
    private static DeviceSpeedMeasurement Peer(string python, DeviceSpeedRequest request)
    {
        var start = new ProcessStartInfo(python, [Path.Combine(AppContext.BaseDirectory, "peer.py")])
        {
            RedirectStandardInput = true,
            RedirectStandardOutput = true,
            RedirectStandardError = true,
        };
        // The libraries that this program was started with are not Python's matter.
        start.Environment.Remove("LD_PRELOAD");
        start.Environment.Remove("LD_LIBRARY_PATH");
        using var process = Process.Start(start)!;
        var errors = process.StandardError.ReadToEndAsync();
        process.StandardInput.Write(JsonSerializer.Serialize(new { request.Device, request.WarmUp, request.MicroBatchTokens, request.Batches, request.Shape, Config = DeviceModel.Shape(request.Shape) }));
        process.StandardInput.Close();
        var output = process.StandardOutput.ReadToEnd();
        process.WaitForExit();
        return process.ExitCode == 0
            ? JsonSerializer.Deserialize<DeviceSpeedMeasurement>(output.Trim().Split('\n')[^1])!
            : throw new InvalidInputException($"peer.py ended with exit code {process.ExitCode}: {errors.Result.Trim()}");
    }

    private static PairLengths[][] Batches(Workload workload, int steps)
    {
        if (workload.Pairs == "hh")
            return Benchmarks.Workload.Generate(workload.Batch, steps);
        var half = int.Parse(workload.Pairs, System.Globalization.CultureInfo.InvariantCulture) / 2;
        return [.. Enumerable.Repeat(Enumerable.Repeat(new PairLengths(half, half, half), workload.Batch).ToArray(), steps)];
    }

    private static T Answer<T>(Func<T> ask, Func<string, T> failed)
    {
        try
        {
            return ask();
        }
        catch (InvalidInputException e)
        {
            Console.Error.WriteLine(e.Message);
            return failed(e.Message.Length > 300 ? e.Message[..300] : e.Message);
        }
    }
}
