using System.CommandLine;
using System.CommandLine.Parsing;
using System.Runtime.InteropServices;

namespace Dpo.Samples;

/// <summary>Runs a program: its exit code is 0 for success, 2 for input that cannot be used, 1 for a run that failed, and 130
/// where it was stopped from the keyboard or 143 by another program; each but the first with one line that says why.</summary>
internal static class SampleProgram
{
    private const int Interrupted = 130;
    private const int Terminated = 143;

    public static int Run(RootCommand command, string[] args, Action<ParseResult, CancellationToken> body)
    {
        using var cancellation = new CancellationTokenSource();
        var stopped = Interrupted;
        // The second signal is not handled, and ends the process at once.
        void Stop(PosixSignalContext context, int exitCode)
        {
            context.Cancel = !cancellation.IsCancellationRequested;
            stopped = exitCode;
            cancellation.Cancel();
        }
        using var interrupt = PosixSignalRegistration.Create(PosixSignal.SIGINT, context => Stop(context, Interrupted));
        using var terminate = PosixSignalRegistration.Create(PosixSignal.SIGTERM, context => Stop(context, Terminated));
        command.SetAction(result => body(result, cancellation.Token));
        foreach (var score in command.Subcommands.OfType<ScoreCommand>())
            score.SetAction(result => score.Run(result, cancellation.Token));
        return Run(command, args, () => stopped);
    }

    /// <summary>Runs a program whose commands know what to do.</summary>
    public static int Run(RootCommand command, string[] args) => Run(command, args, () => Interrupted);

    private static int Run(RootCommand command, string[] args, Func<int> stopped)
    {
        try
        {
            var parsed = command.Parse(args);
            // An option that lacks its value takes the next one's name for it; that is the error to tell, not what follows from
            // it.
            if (parsed.Errors.OrderBy(error => error.SymbolResult is CommandResult).FirstOrDefault() is { } error)
                throw new InvalidInputException($"{error.Message.TrimEnd('.')}. Run with --help for the options.");
            return parsed.Invoke(new InvocationConfiguration { EnableDefaultExceptionHandler = false });
        }
        catch (Exception e) when (e is InvalidInputException or IOException or UnauthorizedAccessException)
        {
            return End(2, e.Message);
        }
        catch (TypeInitializationException e) when (e.InnerException is DllNotFoundException missing)
        {
            return End(2, missing.Message);
        }
        catch (Exception e) when (e is NotFiniteNumberException or RunFailedException)
        {
            return End(1, e.Message);
        }
        catch (OperationCanceledException e)
        {
            return End(stopped(), e.Message);
        }
        catch (Exception e)
        {
            // A mistake of the program's, for whose mending one needs to know where it was made.
            return End(1, $"The program failed: {e}");
        }
    }

    private static int End(int exitCode, string message)
    {
        Console.Error.WriteLine(message);
        return exitCode;
    }
}
