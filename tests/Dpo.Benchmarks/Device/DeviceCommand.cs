using System.CommandLine;
using System.Text.Json;
using Dpo.Samples;

namespace Dpo.Benchmarks;

/// <summary><c>device</c>: whether a device computes what it should, and how fast.</summary>
internal static class DeviceCommand
{
    private static readonly JsonSerializerOptions Style = new() { PropertyNamingPolicy = JsonNamingPolicy.SnakeCaseLower, WriteIndented = true };

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

    private static int Run(string device, bool quick, string only, string? peer, string? json)
    {
        var checks = only is "all" or "checks" ? DeviceChecks.Show(device, quick) : [];
        var speeds = only is "all" or "speed" ? DeviceSpeeds.Show(device, quick, peer) : [];
        var generation = only is "all" or "generation" ? DeviceGeneration.Show(device, quick) : [];
        if (json is not null)
            File.WriteAllText(json, JsonSerializer.Serialize(new { device, quick, checks, speeds, generation }, Style) + "\n");
        return checks.All(check => check.Holds) ? 0 : 1;
    }
}
