using System.Diagnostics;
using System.Text.Json;

namespace Dpo.Benchmarks;

/// <summary>The algorithm of TRL by PyTorch and transformers, in <c>peer.py</c>, on the same lengths.</summary>
internal static class Peer
{
    /// <summary>Runs it.</summary>
    /// <param name="python">A Python that has both.</param>
    /// <param name="request">What to measure; its reference is always live.</param>
    /// <exception cref="InvalidInputException">It failed; the message is its own.</exception>
    public static DeviceSpeedMeasurement Run(string python, DeviceSpeedRequest request)
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
        process.StandardInput.Write(JsonSerializer.Serialize(new
        {
            request.Device,
            request.WarmUp,
            request.MicroBatchTokens,
            request.Batches,
            request.Shape,
            Config = DeviceModel.Shape(request.Shape),
        }));
        process.StandardInput.Close();
        var output = process.StandardOutput.ReadToEnd();
        process.WaitForExit();
        return process.ExitCode == 0
            ? JsonSerializer.Deserialize<DeviceSpeedMeasurement>(output.Trim().Split('\n')[^1])!
            : throw new InvalidInputException($"peer.py ended with exit code {process.ExitCode}: {errors.Result.Trim()}");
    }
}
