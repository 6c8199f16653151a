using System.CommandLine;
using Dpo.Evaluation.Measuring;
using Dpo.Evaluation.Reporting;

namespace Dpo.Samples;

/// <summary>What a program leaves to look at: <c>run.json</c> and <c>report.html</c> in its output folder; and the command that
/// makes such a page anew, of several runs too.</summary>
internal static class Reports
{
    /// <summary>What a run on preferences is known by.</summary>
    /// <param name="program">The program's name.</param>
    /// <param name="settings">What was asked for.</param>
    /// <param name="start">The digest of the model that it began with.</param>
    /// <param name="data">What is trained on, as tokens and as texts.</param>
    /// <param name="heldOut">What is held out; nulls for nothing.</param>
    /// <param name="sets">Whose completions are judged.</param>
    /// <param name="leftOut">What is not measured, and why.</param>
    public static RunRecord RecordOf(
        string program, TrainingSettings settings, string start,
        (PreferenceData Tokens, IReadOnlyList<PreferenceExample> Texts) data,
        (PreferenceData? Tokens, IReadOnlyList<PreferenceExample>? Texts) heldOut,
        IReadOnlyList<PromptSet> sets, IReadOnlyList<string> leftOut) => new()
        {
            Program = program,
            Options = new Dictionary<string, string>(
            [
                .. settings.InWords(),
                .. sets.Select(set => KeyValuePair.Create($"judge of {set.Name}", set.Judge.Worth)),
                .. sets.Select(set => KeyValuePair.Create(set.Name, FormattableString.Invariant($"{set.Prompts.Count}"))),
            ]),
            LeftOut = leftOut,
            Data = new Dictionary<string, string>
            {
                ["training"] = RunRecord.DigestOf(data.Tokens),
                ["held out"] = heldOut.Tokens is null ? "none" : RunRecord.DigestOf(heldOut.Tokens),
            },
            Models = new Dictionary<string, string> { ["start"] = start },
            Audit = Audit.InWords(DataAudit.Of(data.Texts, heldOut.Texts)),
        };

    /// <summary>Writes both.</summary>
    public static void Write(RunRecord record, string folder) => AfterTraining(() =>
    {
        record.Write(folder);
        Terminal.Line($"The report is {RunReport.Write([folder], folder)}.");
    });

    /// <summary>Does what comes after training. By then the model is saved, and whoever is told of a failure is told that
    /// too.</summary>
    public static void AfterTraining(Action action)
    {
        try
        {
            action();
        }
        catch (OperationCanceledException e)
        {
            throw new OperationCanceledException(
                "Stopped after training: the model is saved, but not all of what is measured of it.", e, e.CancellationToken);
        }
        catch (Exception e)
        {
            var cause = e is TypeInitializationException { InnerException: { } inner } ? inner : e;
            throw new RunFailedException($"The model is saved, but what comes after its training failed: {cause.Message}", e);
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
        var target = CliOption.Path("--into", "DIR", "Where the page and its figures go. [default: the run's own folder]");
        var command = new Command("report", "Makes report.html anew out of the files of one run, or of several together.");
        command.Arguments.Add(folders);
        command.Options.Add(target);
        command.SetAction(parsed =>
        {
            var named = parsed.GetValue(folders)!;
            if (named.Length > 1 && parsed.GetValue(target) is null)
                throw new InvalidInputException("--into is missing: name the folder for the page of several runs.");
            Terminal.Line($"The report is {RunReport.Write(named, parsed.GetValue(target) ?? named[0])}.");
        });
        return command;
    }
}
