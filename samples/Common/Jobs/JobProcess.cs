using System.Collections.Concurrent;
using System.Diagnostics;
using System.Text;

namespace Dpo.Samples;

/// <summary>A job that was started: this program once more, with <see cref="Option"/>.</summary>
internal sealed class JobProcess : IDisposable
{
    /// <summary>The option that names a process's job.</summary>
    public const string Option = "--job";

    private readonly Process process;
    private readonly ConcurrentQueue<string> lines = [];
    private readonly StringBuilder errors = new();
    private readonly Stopwatch clock = Stopwatch.StartNew();

    /// <summary>Starts the process.</summary>
    /// <param name="job">The job.</param>
    /// <param name="arguments">This program's arguments, which are the job's too.</param>
    /// <param name="threads">On how many threads it computes, where the environment does not say.</param>
    public JobProcess(Job job, IEnumerable<string> arguments, int threads)
    {
        Job = job;
        var start = new ProcessStartInfo(Environment.ProcessPath!)
        {
            RedirectStandardInput = true,
            RedirectStandardOutput = true,
            RedirectStandardError = true,
        };
        start.Environment.TryAdd("OMP_NUM_THREADS", $"{threads}");
        if (Path.GetFileNameWithoutExtension(start.FileName) == "dotnet")
            start.ArgumentList.Add(Environment.GetCommandLineArgs()[0]);
        foreach (var argument in (string[])[.. arguments, Option, job.Name])
            start.ArgumentList.Add(argument);
        process = new Process { StartInfo = start };
        process.OutputDataReceived += (_, line) =>
        {
            if (line.Data is not null)
                lines.Enqueue(line.Data);
        };
        process.ErrorDataReceived += (_, line) =>
        {
            if (line.Data is not null)
                errors.AppendLine(line.Data);
        };
        process.Start();
        process.BeginOutputReadLine();
        process.BeginErrorReadLine();
    }

    public Job Job { get; }

    /// <summary>The last that it said of its progress; null before.</summary>
    public JobProgress? Progress { get; private set; }

    /// <summary>The share that was done when it began, by an earlier start.</summary>
    public double Kept { get; private set; }

    /// <summary>How long it has been running.</summary>
    public TimeSpan Elapsed => clock.Elapsed;

    /// <summary>Its exit code; null while it runs. Once there is one all that it wrote has come.</summary>
    public int? ExitCode
    {
        get
        {
            if (!process.HasExited)
                return null;
            process.WaitForExit();
            return process.ExitCode;
        }
    }

    /// <summary>Why it failed, in its own words; where it had none the system has ended it.</summary>
    public string Error => errors.ToString().Trim() is { Length: > 0 } words ? words
        : $"The process ended with {process.ExitCode} and without a word, as one does that the system ends for want of memory; " +
            "fewer --jobs take less.";

    /// <summary>Takes what it has written since the last call.</summary>
    /// <returns>The lines that are meant for people.</returns>
    public IEnumerable<string> Read()
    {
        while (lines.TryDequeue(out var line))
        {
            if (JobProgress.Of(line) is { } progress)
            {
                if (Progress is null)
                    Kept = (double)(progress.Step - 1) / progress.TotalSteps;
                Progress = progress;
            }
            else
                yield return line;
        }
    }

    /// <summary>Asks it to end, which it does between two steps.</summary>
    public void Stop()
    {
        try
        {
            process.StandardInput.WriteLine();
            process.StandardInput.Flush();
        }
        catch (IOException)
        {
            // It has ended by itself.
        }
    }

    /// <summary>In a job's process: is cancelled where the process that started it asks it to end. Where that one is gone without
    /// a word, this one goes too, before a second start does its job.</summary>
    public static CancellationToken Asked(CancellationToken cancellationToken)
    {
        var source = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken);
        new Thread(() =>
        {
            using var input = Console.OpenStandardInput();
            if (input.ReadByte() < 0)
                Process.GetCurrentProcess().Kill();
            source.Cancel();
        })
        { IsBackground = true }.Start();
        return source.Token;
    }

    public void Dispose() => process.Dispose();
}
