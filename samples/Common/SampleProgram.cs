using System.CommandLine;
using System.CommandLine.Parsing;

namespace Dpo.Samples;

/// <summary>Runs a program: its exit code is 0 for success, 2 for input that cannot be used, 1 for a run that failed, and 130
/// where it was stopped; each but the first with one line that says why.</summary>
internal static class SampleProgram
{
    public static int Run(RootCommand command, string[] args, Action<ParseResult, CancellationToken> body)
    {
        using var cancellation = new CancellationTokenSource();
        Console.CancelKeyPress += (_, pressed) =>
        {
            pressed.Cancel = true;
            cancellation.Cancel();
        };
        command.SetAction(result => body(result, cancellation.Token));
        return Run(command, args);
    }

    /// <summary>Runs a program whose commands know what to do.</summary>
    public static int Run(RootCommand command, string[] args)
    {
        try
        {
            var parsed = command.Parse(args);
            // An option that lacks its value takes the next one's name for it; that is the error to tell, not what follows from it.
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
        catch (NotFiniteNumberException e)
        {
            return End(1, e.Message);
        }
        catch (OperationCanceledException)
        {
            return End(130, "Stopped; the model in training was not saved.");
        }
    }

    private static int End(int exitCode, string message)
    {
        Console.Error.WriteLine(message);
        return exitCode;
    }
}
