using System.CommandLine;
using System.Diagnostics;
using System.Text.Json;

namespace Dpo.Benchmarks;

/// <summary>
/// A measurement in a process of its own, so that no row inherits another's memory or warmth: this program, started with a
/// hidden command, a request on its input and the answer on its output, each a line of JSON.
/// </summary>
internal static class ChildProcess
{
    /// <summary>The hidden command that answers requests.</summary>
    public static Command Command<TRequest, TResult>(string name, Func<TRequest, TResult> measure)
    {
        var command = new Command(name) { Hidden = true };
        command.SetAction(_ =>
        {
            var request = JsonSerializer.Deserialize<TRequest>(Console.In.ReadToEnd())!;
            Console.Out.WriteLine(JsonSerializer.Serialize(measure(request)));
        });
        return command;
    }

    /// <summary>Starts a child, waits for its end and answers with its answer.</summary>
    /// <exception cref="InvalidInputException">The child failed; the message is its own.</exception>
    public static TResult Run<TRequest, TResult>(string name, TRequest request, bool keepNothing = false)
    {
        var start = new ProcessStartInfo(Environment.ProcessPath!)
        {
            RedirectStandardInput = true,
            RedirectStandardOutput = true,
            RedirectStandardError = true,
        };
        if (keepNothing)
        {
            start.Environment["GLIBC_TUNABLES"] = "glibc.malloc.mmap_threshold=1000000";
            start.Environment["DOTNET_GCgen0size"] = "0x80000";
        }
        if (Path.GetFileNameWithoutExtension(start.FileName) == "dotnet")
            start.ArgumentList.Add(Environment.GetCommandLineArgs()[0]);
        start.ArgumentList.Add(name);

        using var process = Process.Start(start)!;
        var errors = process.StandardError.ReadToEndAsync();
        process.StandardInput.Write(JsonSerializer.Serialize(request));
        process.StandardInput.Close();
        var output = process.StandardOutput.ReadToEnd();
        process.WaitForExit();
        return process.ExitCode == 0
            ? JsonSerializer.Deserialize<TResult>(output)!
            : throw new InvalidInputException($"The process that measures {name} ended with exit code {process.ExitCode}: {errors.Result.Trim()}");
    }

    /// <summary>Runs every row once a round, one process at a time, so that what else the machine does falls on all of them.</summary>
    /// <param name="name">The hidden command.</param>
    /// <param name="rows">What it is asked for, row by row.</param>
    /// <param name="rounds">How many rounds.</param>
    /// <param name="inRound">Runs once a round, for what belongs beside the rows.</param>
    /// <param name="keepNothing">Whether glibc returns what is freed at once, and the garbage collector runs after every half
    /// megabyte, so that resident memory is live memory.</param>
    /// <returns>Every row's best figures of all rounds.</returns>
    public static IReadOnlyList<Measurement> RoundRobin<TRequest>(
        string name, IReadOnlyList<TRequest> rows, int rounds, Action? inRound = null, bool keepNothing = false)
    {
        var best = new Measurement?[rows.Count];
        for (var round = 1; round <= rounds; round++)
        {
            inRound?.Invoke();
            for (var row = 0; row < rows.Count; row++)
            {
                var measured = Run<TRequest, Measurement>(name, rows[row], keepNothing);
                best[row] = best[row]?.Best(measured) ?? measured;
            }
            Console.Error.WriteLine($"Round {round} of {rounds}.");
        }
        return best!;
    }
}
