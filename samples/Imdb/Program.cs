// Controlled sentiment generation, the paper's first setting (section 6.1): a model of film reviews is trained to continue their
// beginnings favourably. A classifier of sentiment is the true reward, so that what a method gains, and how far it moves from the
// reference for it, can be measured: Figure 2 (left).
using Dpo.Samples;

return new ImdbCommand().Run(args, (settings, cancellationToken) =>
{
    // One part of the plan, in a process of its own, which the plan below has started: see Parts.
    if (settings.Job is { } job)
    {
        Terminal.IsJob = true;
        new Parts(settings, JobProcess.Asked(cancellationToken)).Do(job.Split('/')[1]);
        return;
    }
    OutputFolder.Hold(settings.Output, () =>
    {
        // The plan: under each seed fine-tuning and preferences, then the runs, each from the same model and pairs.
        var plan = ImdbPlan.Of(settings);
        var jobs = ImdbPlan.Jobs(settings);
        if (jobs.Count == 0)
            Terminal.Line("All of it was done before; --overwrite does it again.");
        var runner = new JobRunner(jobs, settings.SideBySide, settings.Arguments, ended => Results.Last(ended, settings));
        try
        {
            runner.Run((running, ended) => plan.Begin(settings, running, ended), cancellationToken);
        }
        finally
        {
            // What has ended is reported, whatever became of the others.
            if (runner.HasBegun || jobs.Count == 0)
                Results.Report(plan, settings);
        }
    });
});
