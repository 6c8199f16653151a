using System.Diagnostics;
using System.Text.Json;
using Dpo.Tests;

namespace Dpo.Samples.Tests;

/// <summary>What programs do about what lies in their output folder, and about what goes wrong once they train.</summary>
public sealed class OutputFolderTests : IDisposable
{
    private readonly TemporaryFolder folder = new();

    public void Dispose() => folder.Dispose();

    /// <summary>A short run, with other and further options.</summary>
    private static string[] Arguments(string output, params string[] more) =>
    [
        .. new[]
        {
            ("--model", Fixture.Path("models", "gpt2")), ("--train", Fixture.Path("trajectories", "train.jsonl")), ("--max-length", "64"), ("--steps", "3"),
            ("--batch-size", "4"), ("--warmup-steps", "0"), ("--learning-rate", "1e-3"), ("--output", output),
        }.Where(option => !more.Contains(option.Item1)).SelectMany(option => new[] { option.Item1, option.Item2 }),
        .. more,
    ];

    private static SortedDictionary<string, string> Contents(string folder) => new(
        Directory.GetFiles(folder, "*", SearchOption.AllDirectories)
            .ToDictionary(path => Path.GetRelativePath(folder, path), path => Convert.ToBase64String(File.ReadAllBytes(path))),
        StringComparer.Ordinal);

    [Fact]
    public void An_earlier_run_is_refused_untouched_and_replaced_whole_where_that_is_asked_for()
    {
        var (output, fresh) = (folder.File("out"), folder.File("fresh"));
        string[] eval = ["--eval", Fixture.Path("trajectories", "train.jsonl"), "--lora-rank", "2"];
        SampleRun.Succeed("HelpfulHarmless", Arguments(output, [.. eval, "--checkpoint-every", "2"]));
        File.WriteAllText(Path.Combine(output, "notes.txt"), "my own");
        var before = Contents(output);
        foreach (var (more, message) in new (string[], string)[]
        {
            ([], $"--output {output}: {output} holds an earlier run; add --resume to go on with it, add --overwrite to replace it, or give another folder."),
            (["--overwrite", "--train", "/no/such.jsonl"], "/no/such.jsonl cannot be read: "),
            (["--overwrite", "--loss", "plackett_luce", "--skip-sft"], "A batch holds no ranking"),
            (["--resume", "--checkpoint-every", "2", "--learning-rate", "1e-2", .. eval], $"{Path.Combine(output, "sft/checkpoints/step-000003")} was written under other options: "),
        })
        {
            var (exitCode, _, error) = SampleRun.Run("HelpfulHarmless", Arguments(output, more));
            Assert.True(exitCode == 2 && error.StartsWith(message, StringComparison.Ordinal), $"{exitCode}: {error}");
            Assert.Equal(before, Contents(output));
        }

        SampleRun.Succeed("HelpfulHarmless", Arguments(output, "--overwrite"));
        SampleRun.Succeed("HelpfulHarmless", Arguments(fresh));
        static IEnumerable<string> Names(IEnumerable<string> files) => files.Select(name => name.Contains("tfevents", StringComparison.Ordinal) ? Path.GetDirectoryName(name) + "/events" : name);
        var after = Contents(output);
        Assert.Equal("my own", File.ReadAllText(Path.Combine(output, "notes.txt")));
        Assert.Equal(Names(Contents(fresh).Keys), Names(after.Keys.Where(name => name != "notes.txt" && !name.EndsWith(".lock", StringComparison.Ordinal) || Contents(fresh).ContainsKey(name))));
        foreach (var (name, bytes) in Contents(fresh).Where(file => file.Key.EndsWith("metrics.jsonl", StringComparison.Ordinal) || file.Key.EndsWith(".safetensors", StringComparison.Ordinal)))
            Assert.True(bytes == after[name], $"{name} differs.");
    }

    /// <summary>What followed from another fine-tuning is no longer of this run, though this one comes no further.</summary>
    [Fact]
    public void A_run_that_is_replaced_is_gone_once_the_first_stage_begins()
    {
        var output = folder.File("out");
        SampleRun.Succeed("HelpfulHarmless", Arguments(output));
        var (exitCode, _, error) = SampleRun.Run("HelpfulHarmless", Arguments(output, "--overwrite", "--learning-rate", "1e38", "--steps", "1"));
        Assert.Equal(1, exitCode);
        Assert.StartsWith("The update of step 1, ", error, StringComparison.Ordinal);
        Assert.All(Contents(output).Keys, name => Assert.EndsWith(".lock", name, StringComparison.Ordinal));
    }

    [Fact]
    public void A_run_without_checkpoints_is_not_resumed_and_one_that_was_interrupted_before_its_first_begins_anew()
    {
        var output = folder.File("out");
        SampleRun.Succeed("HelpfulHarmless", Arguments(output, "--skip-sft"));
        Assert.Equal(
            (2, "", $"--output {output}: {output} holds a run without checkpoints, which --resume cannot go on with; add --overwrite in its place, or give another folder.\n"),
            SampleRun.Run("HelpfulHarmless", Arguments(output, "--skip-sft", "--resume", "--checkpoint-every", "2")));

        Directory.CreateDirectory(folder.File("early"));
        folder.Write("early/metrics.jsonl", "{\"step\":1,\"lo");
        folder.Write("early/samples.jsonl", "{\"step\":1}\n");
        SampleRun.Succeed("HelpfulHarmless", Arguments(folder.File("early"), "--skip-sft", "--resume", "--checkpoint-every", "2"));
        Assert.Equal(File.ReadAllText(Path.Combine(output, "metrics.jsonl")), File.ReadAllText(folder.File("early/metrics.jsonl")));
        Assert.False(File.Exists(folder.File("early/samples.jsonl")));
    }

    [Theory]
    [InlineData]
    [InlineData("--overwrite")]
    public void The_model_that_is_trained_is_not_replaced(params string[] more)
    {
        var model = folder.File("model");
        Directory.CreateDirectory(model);
        foreach (var file in Directory.GetFiles(Fixture.Path("models", "gpt2")))
            File.Copy(file, Path.Combine(model, Path.GetFileName(file)));
        var before = Contents(model);
        Assert.Equal(
            (2, "", $"--output {model}: the model of --model lies in {model}, and would be replaced; give another folder.\n"),
            SampleRun.Run("HelpfulHarmless", Arguments(model, [.. more, "--model", model + "/"])));
        Assert.Equal(before, Contents(model));
    }

    /// <summary>Two runs that nothing interrupted, to the bit: what draws from the process's generator is seeded.</summary>
    [Fact]
    public void Checkpoints_of_equal_runs_are_equal()
    {
        foreach (var name in (string[])["first", "second"])
            SampleRun.Succeed("TlDr", "--steps", "2", "--batch-size", "4", "--max-length", "64", "--checkpoint-every", "2", "--output", folder.File(name));
        foreach (var stage in (string[])["sft/", ""])
            Assert.Equal(Contents(folder.File($"first/{stage}checkpoints")), Contents(folder.File($"second/{stage}checkpoints")));
    }

    /// <summary>A folder lies where samples are to go.</summary>
    [Fact]
    public void What_fails_while_a_step_is_reported_is_told_and_the_model_is_saved()
    {
        var output = folder.File("out");
        Directory.CreateDirectory(Path.Combine(output, "samples.jsonl"));
        var (exitCode, text, error) = SampleRun.Run(
            "HelpfulHarmless", Arguments(output, "--skip-sft", "--checkpoint-every", "2", "--eval", Fixture.Path("trajectories", "train.jsonl")));
        Assert.Equal(1, exitCode);
        Assert.Matches($"^DPO failed after step 1 of 3: .*samples.jsonl.* The model is saved as that step left it.\n$", error);
        Assert.Contains($"The model and its metrics are in {output}.", text, StringComparison.Ordinal);
        using var model = CausalLanguageModel.Load(output);
        using var checkpoint = CausalLanguageModel.Load(Path.Combine(output, "checkpoints/step-000001"));
        Assert.Equal(File.ReadAllBytes(Path.Combine(output, "model.safetensors")), File.ReadAllBytes(Path.Combine(output, "checkpoints/step-000001/model.safetensors")));

        Directory.Delete(Path.Combine(output, "samples.jsonl"));
        SampleRun.Succeed("HelpfulHarmless", Arguments(output, "--skip-sft", "--checkpoint-every", "2", "--eval", Fixture.Path("trajectories", "train.jsonl"), "--resume"));
        Assert.Equal([1, 2, 3], File.ReadLines(Path.Combine(output, "metrics.jsonl")).Select(line => JsonDocument.Parse(line).RootElement.GetProperty("step").GetInt32()));
    }

    [Theory]
    [InlineData("--checkpoint-every", "1")]
    [InlineData]
    public void Weights_that_are_not_finite_are_not_saved(params string[] more)
    {
        var output = folder.File("out");
        var (exitCode, _, error) = SampleRun.Run("HelpfulHarmless", Arguments(output, [.. more, "--skip-sft", "--learning-rate", "1e38", "--steps", "1"]));
        Assert.Equal(1, exitCode);
        Assert.Matches("^The update of step 1, at a learning rate of 1e\\+38 and a gradient norm of [0-9.]+, left weights that are not finite. [^\n]*A smaller learning rate may help.\n$", error);
        Assert.False(Directory.Exists(output)); // there was nothing to write
    }

    /// <summary>The first update leaves numbers so large that the second step has no loss. Such a model is finite, and still nothing to
    /// keep.</summary>
    [Fact]
    public void A_model_whose_training_diverged_is_not_saved()
    {
        var output = folder.File("out");
        var (exitCode, _, error) = SampleRun.Run("HelpfulHarmless", Arguments(output, "--skip-sft", "--learning-rate", "1e20"));
        Assert.Equal(1, exitCode);
        Assert.StartsWith("Step 2 has loss NaN and gradient norm ", error, StringComparison.Ordinal);
        Assert.Contains("metrics.jsonl", Contents(output).Keys);
        Assert.DoesNotContain("model.safetensors", Contents(output).Keys);
    }

    [Fact]
    public void A_warm_up_that_is_longer_than_the_run_is_told()
    {
        var text = SampleRun.Succeed("HelpfulHarmless", Arguments(folder.File("out"), "--skip-sft", "--warmup-steps", "150", "--learning-rate", "1e-6"));
        Assert.Contains("Warning: The warm-up is longer than the run: at the last of 3 steps the learning rate has come to 1.99e-08 of 1e-06.", text, StringComparison.Ordinal);
    }

    [Fact]
    public void Messages_name_the_programs_own_options()
    {
        var (exitCode, _, error) = SampleRun.Run("HelpfulHarmless", Arguments(folder.File("out"), "--max-length", "100000"));
        Assert.Equal(2, exitCode);
        Assert.EndsWith("but sequences may have 100000 tokens; give a smaller --max-length.\n", error, StringComparison.Ordinal);
    }

    /// <summary>Behind the last step, of which all is told: nothing but the model is still written.</summary>
    [Fact]
    public void A_folder_that_is_renamed_while_a_program_saves_its_model_is_told()
    {
        if (OperatingSystem.IsWindows())
            return; // keeps a folder with open files where it is
        var output = folder.File("out");
        var failure = Assert.Throws<RunFailedException>(() => OutputFolder.Hold(output, model: null, new Interruption(null, false, false), () =>
        {
            folder.Write("out/metrics.jsonl", "{}\n");
            Directory.Move(output, folder.File("elsewhere"));
            Directory.CreateDirectory(output);
            folder.Write("out/model.safetensors", "weights");
        }));
        Assert.Equal(
            $"{output} was removed or renamed while it was being written to; what it held is no longer there. The model was saved there anew.", failure.Message);
        Assert.True(File.Exists(Path.Combine(output, "model.safetensors")));
    }

    [Fact]
    public async Task A_folder_that_is_renamed_while_a_program_trains_is_told()
    {
        if (OperatingSystem.IsWindows())
            return; // keeps a folder with open files where it is
        var output = folder.File("out");
        var start = new ProcessStartInfo("dotnet", [Path.Combine(AppContext.BaseDirectory, "HelpfulHarmless.dll"), .. Arguments(output, "--skip-sft", "--steps", "40")])
        {
            RedirectStandardOutput = true,
            RedirectStandardError = true,
        };
        using var process = Process.Start(start)!;
        var last = "";
        while (await process.StandardOutput.ReadLineAsync() is { } line)
        {
            last = line;
            if (line.StartsWith("DPO 2/40 ", StringComparison.Ordinal))
                Directory.Move(output, folder.File("elsewhere"));
        }
        var error = await process.StandardError.ReadToEndAsync();
        await process.WaitForExitAsync();
        Assert.Equal(1, process.ExitCode);
        Assert.Matches(
            $"^DPO failed after step [0-9]+ of 40: {output}/[a-z.]+ was removed, renamed or replaced while the run wrote to it; leave the folder where it is until the run ends. " +
            "The model is saved as that step left it.\n$", error);
        Assert.Equal($"The model is in {output}.", last);
        Assert.True(File.Exists(folder.File("elsewhere/metrics.jsonl")));
        Assert.True(File.Exists(Path.Combine(output, "model.safetensors")));
    }
}
