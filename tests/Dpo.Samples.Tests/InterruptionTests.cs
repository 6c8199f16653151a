using System.Diagnostics;
using System.Runtime.InteropServices;
using Dpo.Files;
using Dpo.Tests;

namespace Dpo.Samples.Tests;

public class InterruptionTests
{
    private const int Interrupt = 2, Terminate = 15;

    // More steps than a program makes between its first one's line and the signal for it.
    private static string[] Arguments(string output, params string[] more) =>
        ["--steps", "60", "--batch-size", "4", "--max-length", "64", "--checkpoint-every", "5", "--win-rate-prompts", "0", "--output", output, .. more];

    /// <summary>Stopped by SIGTERM in fine-tuning, by SIGINT in DPO, and resumed each time.</summary>
    [Fact]
    public void A_stopped_program_goes_on_where_it_was()
    {
        if (OperatingSystem.IsWindows())
            return; // has no such signals
        using var whole = new TemporaryFolder();
        using var parts = new TemporaryFolder();
        SampleRun.Succeed("TlDr", Arguments(whole.Path));

        var (exitCode, error) = Stop(Terminate, "SFT 1/60 ", Arguments(parts.Path));
        Assert.Equal(143, exitCode);
        Assert.Matches($"^Stopped after step [0-9]+; the run can be resumed from {parts.File("sft/checkpoints/step-")}[0-9]+. Give the same command with --resume.\n$", error);

        (exitCode, error) = Stop(Interrupt, "DPO 1/60 ", Arguments(parts.Path, "--resume"));
        Assert.Equal(130, exitCode);
        Assert.Matches($"^Stopped after step [0-9]+; the run can be resumed from {parts.File("checkpoints/step-")}[0-9]+. Give the same command with --resume.\n$", error);

        SampleRun.Succeed("TlDr", Arguments(parts.Path, "--resume"));
        foreach (var file in (string[])["sft/checkpoints/step-000060/random.safetensors", "checkpoints/step-000060/random.safetensors", "sft/metrics.jsonl", "sft/metrics.csv", "sft/model.safetensors", "metrics.jsonl", "metrics.csv", "model.safetensors"])
            Assert.True(File.ReadAllBytes(whole.File(file)).SequenceEqual(File.ReadAllBytes(parts.File(file))), $"{file} differs.");
    }

    /// <summary>Stopped while the last step is evaluated, on more than there is time for until the signal.</summary>
    [Fact]
    public async Task A_program_that_is_stopped_behind_its_last_step_has_saved_the_model()
    {
        if (OperatingSystem.IsWindows())
            return; // has no such signals
        using var folder = new TemporaryFolder();
        var (train, output) = (Fixture.Path("trajectories", "train.jsonl"), folder.File("out"));
        var heldOut = folder.Write("held-out.jsonl", string.Concat(Enumerable.Repeat(await File.ReadAllTextAsync(train), 150)));
        string[] args =
        [
            "--model", Fixture.Path("models", "gpt2"), "--train", train, "--eval", heldOut, "--max-length", "64", "--steps", "1", "--warmup-steps", "0",
            "--skip-sft", "--checkpoint-every", "1", "--output", output,
        ];
        var start = new ProcessStartInfo("dotnet", [Path.Combine(AppContext.BaseDirectory, "HelpfulHarmless.dll"), .. args])
        {
            RedirectStandardOutput = true,
            RedirectStandardError = true,
        };
        using var process = Process.Start(start)!;
        var (text, error) = (process.StandardOutput.ReadToEndAsync(), process.StandardError.ReadToEndAsync());
        while (!process.HasExited && !Directory.Exists(Path.Combine(output, "checkpoints/step-000001")))
            await Task.Delay(5);
        Assert.Equal(0, Kill(process.Id, Terminate));
        await process.WaitForExitAsync();
        Assert.Equal(
            (143, "Stopped after the last step, 1: the model is saved, but not all of what is measured of it.\n"),
            (process.ExitCode, await error));
        Assert.EndsWith($"The model is in {output}.\n", await text, StringComparison.Ordinal);
        Assert.Equal(
            await File.ReadAllBytesAsync(Path.Combine(output, "checkpoints/step-000001/model.safetensors")),
            await File.ReadAllBytesAsync(Path.Combine(output, "model.safetensors")));
    }

    [Fact]
    public void An_option_without_its_companion_is_refused()
    {
        using var output = new TemporaryFolder();
        Assert.Equal(
            (2, "", "--resume goes with --checkpoint-every: give the command that was interrupted, and add --resume.\n"),
            SampleRun.Run("Imdb", "--resume", "--output", output.Path));
    }

    [Fact]
    public void A_folder_that_another_program_writes_to_is_refused()
    {
        using var output = new TemporaryFolder();
        using var claim = new FolderLock(output.Path);
        Assert.Equal(
            (2, "", $"{output.Path} is being written to by another run; wait for its end, or give another folder.\n"),
            SampleRun.Run("TlDr", Arguments(output.Path)));
    }

    /// <summary>Starts a program and sends it a signal once it writes a line that begins so.</summary>
    private static (int ExitCode, string Error) Stop(int signal, string atLine, string[] args)
    {
        var start = new ProcessStartInfo("dotnet", [Path.Combine(AppContext.BaseDirectory, "TlDr.dll"), .. args])
        {
            RedirectStandardOutput = true,
            RedirectStandardError = true,
        };
        using var process = Process.Start(start)!;
        var error = process.StandardError.ReadToEndAsync();
        while (process.StandardOutput.ReadLine() is { } line)
        {
            if (line.StartsWith(atLine, StringComparison.Ordinal))
                Assert.Equal(0, Kill(process.Id, signal));
        }
        process.WaitForExit();
        return (process.ExitCode, error.Result);
    }

    [DllImport("libc", EntryPoint = "kill")]
    private static extern int Kill(int process, int signal);
}
