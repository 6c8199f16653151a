using System.CommandLine;
using Dpo.Evaluation.Reporting;

namespace Dpo.Samples;

/// <summary>What a program leaves to look at: <c>run.json</c> and <c>report.html</c> in its output folder; and the command that
/// makes such a page anew, of several runs too.</summary>
internal static class Reports
{
    /// <summary>Writes both. By then the model is saved.</summary>
    public static void Write(RunRecord record, string folder)
    {
        try
        {
            record.Write(folder);
            Terminal.Line($"The report is {RunReport.Write([folder], folder)}.");
        }
        catch (Exception e) when (e is InvalidInputException or IOException or UnauthorizedAccessException)
        {
            throw new RunFailedException($"The model is saved, but the report could not be written: {e.Message}", e);
        }
    }

    /// <summary><c>report DIR…</c></summary>
    public static Command Command()
    {
        var folders = new Argument<string[]>("DIR")
        {
            Description = "Output folders of runs.",
            Arity = ArgumentArity.OneOrMore,
        };
        var target = CliOption.Path("--into", "DIR", "Where the page and its figures go. [default: the first folder]");
        var command = new Command("report", "Makes report.html anew out of the files of one run, or of several together.");
        command.Arguments.Add(folders);
        command.Options.Add(target);
        command.SetAction(parsed =>
        {
            var named = parsed.GetValue(folders)!;
            Terminal.Line($"The report is {RunReport.Write(named, parsed.GetValue(target) ?? named[0])}.");
        });
        return command;
    }
}
