using Dpo.Evaluation.Measuring;

namespace Dpo.Samples;

/// <summary>What an output folder is to hold: <c>plan.json</c>. A part that has ended well is kept, and a second start goes on
/// with the others, and with runs and seeds that it adds.</summary>
/// <param name="Settings">What all results follow from, beside seeds and runs.</param>
/// <param name="Seeds">The seeds.</param>
/// <param name="Runs">The runs under every seed.</param>
internal sealed record ImdbPlan(
    IReadOnlyDictionary<string, string> Settings, IReadOnlyList<int> Seeds, IReadOnlyList<string> Runs)
{
    private const string FileName = "plan.json";

    /// <summary>The plan in the folder with what is asked for now; that alone where there is none, or it is to be
    /// replaced.</summary>
    /// <exception cref="InvalidInputException">The folder holds something else.</exception>
    public static ImdbPlan Of(ImdbSettings settings)
    {
        var asked = new ImdbPlan(settings.InWords(), settings.Seeds, [.. settings.Runs.Select(run => run.Name)]);
        var path = Path.Combine(settings.Output, FileName);
        if (settings.Model is { } model && OutputFolder.IsBelow(settings.Output, model))
            throw new InvalidInputException(
                $"--output {settings.Output}: the model of --model lies in it, and would be replaced; give another folder.");
        if (!File.Exists(path))
            OutputFolder.RequireFree(settings.Output, settings.Model, settings.Interruption);
        if (!File.Exists(path) || settings.Interruption.Overwrite)
            return asked;
        var earlier = JsonFile.Read<ImdbPlan>(path);
        foreach (var (name, value) in asked.Settings)
        {
            if (earlier.Settings.GetValueOrDefault(name) is var other && other != value)
                throw new InvalidInputException(
                    $"--output {settings.Output}: its plan has another {name} ({other}, and now {value}); give the same " +
                    "options, add --overwrite to replace it, or give another folder.");
        }
        return asked with
        {
            Seeds = [.. earlier.Seeds.Union(asked.Seeds).Order()],
            Runs = [.. earlier.Runs.Union(asked.Runs)],
        };
    }

    /// <summary>The parts that are left to do of what is asked for now, and what each waits for.</summary>
    public static IReadOnlyList<Job> Jobs(ImdbSettings settings)
    {
        var jobs = new List<Job>();
        foreach (var seed in settings.Seeds)
        {
            var of = settings with { Seed = seed };
            Add(Parts.Start, [], Costs.OfStart(settings));
            if (settings.Runs.Any(run => run.NeedsLearnedReward))
                Add(Parts.LearnedReward, [Parts.Start], Costs.OfLearnedReward(settings));
            foreach (var run in settings.Runs.OrderByDescending(run => Costs.Of(run, settings)))
                Add(
                    run.Name, run.NeedsLearnedReward ? [Parts.Start, Parts.LearnedReward] : [Parts.Start],
                    Costs.Of(run, settings));

            void Add(string part, string[] after, double cost)
            {
                if (settings.Interruption.Overwrite || !File.Exists(Path.Combine(of.FolderOf(part), Parts.EndName)))
                    jobs.Add(new Job($"seed-{seed}/{part}", [.. after.Select(name => $"seed-{seed}/{name}")], cost));
            }
        }
        return jobs;
    }

    /// <summary>Writes the plan, and takes away what is no longer true: the report, and where the plan replaces another, that
    /// one's parts.</summary>
    /// <param name="settings">What was asked for.</param>
    /// <param name="running">The parts that run, and clear their folders themselves when they have read their input.</param>
    /// <param name="ended">The parts of this plan that have ended well.</param>
    public void Begin(ImdbSettings settings, IReadOnlyList<string> running, IReadOnlyList<string> ended)
    {
        var path = Path.Combine(settings.Output, FileName);
        if (settings.Interruption.Overwrite)
        {
            OutputFolder.Clear(settings.Output);
            OutputFolder.Clear(Path.Combine(settings.Output, OutputFolder.FineTuning));
            var seeds = Directory.EnumerateDirectories(settings.Output, "seed-*");
            foreach (var folder in seeds.SelectMany(Directory.EnumerateDirectories))
            {
                var part = Path.GetRelativePath(settings.Output, folder).Replace('\\', '/');
                if (running.Contains(part))
                    File.Delete(Path.Combine(folder, Parts.EndName)); // an earlier plan's, should this one end before it clears
                else if (!ended.Contains(part))
                    OutputFolder.Clear(folder);
            }
        }
        OutputFolder.ClearReport(settings.Output);
        JsonFile.Write(path, this);
    }

    /// <summary>Every point that the parts of the plan have reached, and what each began with.</summary>
    public (IReadOnlyList<FrontierPoint> Points, IReadOnlyDictionary<string, string> Digests) Results(ImdbSettings settings)
    {
        var (points, digests) = (new List<FrontierPoint>(), new Dictionary<string, string>());
        foreach (var seed in Seeds)
        {
            var of = settings with { Seed = seed };
            foreach (var part in (string[])[Parts.Start, Parts.LearnedReward, .. Runs])
            {
                var end = Path.Combine(of.FolderOf(part), Parts.EndName);
                var reached = Path.Combine(of.FolderOf(part), Parts.PointsName);
                if (!File.Exists(end))
                    continue;
                if (File.Exists(reached))
                    points.AddRange(FrontierFile.Read(reached));
                foreach (var (name, digest) in JsonFile.Read<Dictionary<string, string>>(end))
                    digests[name == "policy" ? $"seed {seed}: {part}" : $"seed {seed}: {name}"] = digest;
            }
        }
        return (points, digests);
    }

    /// <summary>The runs of the plan that have not ended well.</summary>
    public IEnumerable<string> Open(ImdbSettings settings) =>
        from seed in Seeds
        from run in Runs
        where !File.Exists(Path.Combine((settings with { Seed = seed }).FolderOf(run), Parts.EndName))
        select $"seed-{seed}/{run}";
}
