using Spectre.Console;
using static TorchSharp.torch;

namespace Dpo.Benchmarks;

/// <summary>What a process is to check: the fixtures, or a random model by the name of its shape.</summary>
internal sealed record DeviceCheckRequest(string Device, string Of, bool Quick);

/// <summary>The checks of a device, and their table.</summary>
internal static class DeviceChecks
{
    public const string Child = "device-check-child";

    private const string Fixtures = "fixtures";

    /// <summary>Makes the checks of a request.</summary>
    public static Check[] Run(DeviceCheckRequest request)
    {
        // Matrix products of fp32 in fp32: TF32 rounds their factors to 10 bits.
        if (request.Device == "cuda")
            backends.cuda.matmul.allow_tf32 = false;
        var on = new Device(request.Device);
        if (request.Of == Fixtures)
            return [.. new FixtureChecks(on, request.Quick).Run()];
        using var checks = new RandomModelChecks(request.Of, on);
        return [.. checks.Run()];
    }

    /// <summary>Makes all checks, in processes of their own, and shows them.</summary>
    public static Check[] Show(string device, bool quick)
    {
        string[] subjects = [Fixtures, .. quick ? (string[])["llama-quick"] : ["gpt2-124m", "llama-100m"]];
        Check[] checks = [.. subjects.SelectMany(subject => Of(device, subject, quick))];
        var table = Report.Table("check", "deviation", "at most", "");
        foreach (var check in checks)
        {
            table.AddRow(
                check.Name, check.Failure is null ? $"{check.Deviation:0.0e+0}" : "", $"{check.Tolerance:g3}",
                check.Holds ? "holds" : Markup.Escape(check.Failure ?? "FAILS"));
        }
        Report.Show(table);
        return checks;
    }

    private static Check[] Of(string device, string subject, bool quick)
    {
        var attempt = Attempt<Check[]>.To(() => ChildProcess.Run<DeviceCheckRequest, Check[]>(Child, new(device, subject, quick)));
        var checks = attempt.Value ?? [new Check(subject, 0, 0, attempt.Failure)];
        Console.Error.WriteLine($"{subject}: {checks.Count(check => check.Holds)} of {checks.Length} checks hold.");
        return checks;
    }
}
