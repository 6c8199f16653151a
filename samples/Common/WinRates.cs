using System.Security.Cryptography;
using System.Text;
using System.Text.Json;
using Dpo.Baselines;
using Dpo.Evaluation;
using Dpo.Evaluation.Judging;
using Dpo.Evaluation.Measuring;
using Dpo.Evaluation.Reporting;
using Dpo.Evaluation.Statistics;

namespace Dpo.Samples;

/// <summary>
/// Measures how often completions of models win against those of the data, and keeps it: verdicts as they come in
/// <c>verdicts.jsonl</c>, win rates in <c>win-rates.jsonl</c>. A run that goes on samples and judges nothing that it has
/// measured.
/// </summary>
internal sealed class WinRates
{
    /// <summary>The name of the verdicts' file in an output folder.</summary>
    public const string VerdictsName = "verdicts.jsonl";

    private readonly TrainingSettings settings;
    private readonly TextTokenizer tokenizer;
    private readonly CancellationToken cancellationToken;
    private readonly IReadOnlyList<WinRatePoint> earlier;
    private readonly List<WinRatePoint> points = [];
    private int firstStep = int.MaxValue; // of the course, that this program has seen

    /// <summary>Begins where an earlier run of the folder stopped, or anew.</summary>
    public WinRates(TrainingSettings settings, TextTokenizer tokenizer, CancellationToken cancellationToken)
    {
        (this.settings, this.tokenizer, this.cancellationToken) = (settings, tokenizer, cancellationToken);
        earlier = settings.Interruption.Resume && File.Exists(FilePath) ? WinRateFile.Read(FilePath) : [];
    }

    private string FilePath => Path.Combine(settings.Output, RunReport.WinRatesName);

    /// <summary>Has each judge that was named judge completions of the data, of the longest prompt: what it refuses is known
    /// before training, and not after.</summary>
    /// <exception cref="IOException">It gives no verdicts.</exception>
    /// <exception cref="InvalidInputException">It does not take texts of such a length.</exception>
    public void Ask(IReadOnlyList<PromptSet> sets)
    {
        foreach (var set in sets.Where(set => set.Judge.IsNamed))
        {
            var prompt = set.Prompts.MaxBy(prompt => prompt.Prompt.Length)!;
            Judge(set, [new Comparison(prompt.Prompt, prompt.Chosen, prompt.Rejected ?? set.Prompts[^1].Chosen)]);
        }
    }

    /// <summary>Measures a model's completions, one of each prompt, at some temperatures.</summary>
    public void Measure(string method, int step, TransformerModel model, PromptSet set, IEnumerable<double> temperatures)
    {
        var digest = RunRecord.DigestOf(model);
        foreach (var temperature in temperatures)
        {
            var sampling = Sampling(temperature);
            Add(method, step, set, temperature, [(null, () => Sampler.Sample(
                model, [.. set.Prompts.Select(prompt => prompt.Ids)], sampling, tokenizer, onToken: null, cancellationToken)
                .Select(sample => sample.Text!))], digest);
        }
    }

    /// <summary>Measures the best of N completions by a reward, for some N, of one sampling of the most.</summary>
    public void MeasureBestOf(
        TransformerModel model, RewardModel reward, PromptSet set, IReadOnlyList<int> counts, double temperature)
    {
        var sampling = Sampling(temperature) with { SamplesPerPrompt = counts.Max(), BatchSize = 256 };
        var samples = new Lazy<IReadOnlyList<IReadOnlyList<(SampledCompletion Completion, float Score)>>>(() => BestOfN.Sample(
            model, [.. set.Prompts.Select(prompt => prompt.Ids)], reward, sampling, tokenizer, cancellationToken));
        Add(
            "best of N", 0, set, temperature,
            [.. counts.Select(count => ((int?)count, (Func<IEnumerable<string>>)(() => samples.Value
                .Select(of => of.Take(count).MaxBy(sample => sample.Score).Completion.Text!))))],
            $"{RunRecord.DigestOf(model)} {RunRecord.DigestOf(reward.Model)} {counts.Max()}");
    }

    /// <summary>What measures a policy while it is trained: at every eighth of its steps but the last, after which all else is
    /// measured.</summary>
    public IProgress<TrainingMetrics> Course(TransformerModel policy, PromptSet set, IReadOnlyList<double> temperatures) =>
        new Shown(metrics =>
        {
            firstStep = Math.Min(firstStep, metrics.Step);
            var eighth = (long)metrics.Step * 8 / metrics.TotalSteps;
            if (eighth > (long)(metrics.Step - 1) * 8 / metrics.TotalSteps && metrics.Step < metrics.TotalSteps)
                Measure(settings.Method, metrics.Step, policy, set, temperatures);
        });

    /// <summary>Leaves in the file what belongs to this run: the course up to where it went on, and what was measured.</summary>
    public void Finish()
    {
        var last = points.Where(point => point.Method == settings.Method).Select(point => point.Step).DefaultIfEmpty().Max();
        var kept = earlier.Where(point => point.Method == settings.Method && point.Step < Math.Min(firstStep, last)).ToArray();
        points.InsertRange(0, kept);
        WinRateFile.Write(FilePath, points);
    }

    private SamplingOptions Sampling(double temperature) =>
        new() { Temperature = temperature, MaxNewTokens = settings.NewTokens, Seed = settings.Seed };

    /// <summary>Adds a point for each way of completing the prompts and each opponent.</summary>
    private void Add(
        string method, int step, PromptSet set, double temperature,
        IEnumerable<(int? BestOf, Func<IEnumerable<string>> Complete)> ways, string models)
    {
        foreach (var (bestOf, complete) in ways)
        {
            string[]? texts = null;
            foreach (var (opponent, textOf) in set.Opponents)
            {
                HeldOutPrompt[] prompts = [.. set.Prompts.Where(prompt => textOf(prompt) is not null)];
                if (prompts.Length == 0)
                    continue;
                var digest = Digest(
                    method, step, set.Name, temperature, bestOf, models, set.Judge.Judge.Identity, opponent, settings.NewTokens,
                    settings.Seed, prompts);
                if (earlier.FirstOrDefault(point => point.Digest == digest) is not { } point)
                {
                    texts ??= [.. complete()];
                    Comparison[] comparisons =
                    [
                        .. set.Prompts.Zip(texts).Where(of => textOf(of.First) is not null).Select(of =>
                            new Comparison(of.First.Prompt, of.Second, textOf(of.First)!) { Reference = of.First.Chosen }),
                    ];
                    var judged = Judge(set, comparisons);
                    var counts = WinRate.Of(judged.Verdicts);
                    point = new WinRatePoint
                    {
                        Run = method.ToLowerInvariant().Replace(' ', '-'),
                        Method = method,
                        Against = opponent,
                        Judge = set.Judge.Judge.Name,
                        Prompts = set.Name,
                        Temperature = temperature,
                        Step = step,
                        BestOf = bestOf,
                        Seed = settings.Seed,
                        Wins = counts.Wins,
                        Ties = counts.Ties,
                        Losses = counts.Losses,
                        Unparsed = judged.Unparsed,
                        LengthControlled = LengthControlled(comparisons, judged),
                        Digest = digest,
                    };
                }
                points.Add(point);
                WinRateFile.Write(
                    FilePath, [.. earlier.Where(old => points.TrueForAll(one => one.Digest != old.Digest)), .. points]);
                if (point.Rate is { } rate)
                    Terminal.Line(
                        $"{(bestOf is null ? method : $"best of {bestOf}")}{(step > 0 ? $", step {step}" : "")}, {set.Name}, " +
                        $"temperature {temperature:0.##}: {rate.Value:0.000} ({rate.Interval.Low:0.000} to " +
                        $"{rate.Interval.High:0.000}) against {opponent}");
            }
        }
    }

    private JudgingResult Judge(PromptSet set, IEnumerable<Comparison> comparisons) => JudgingRun.RunAsync(
        set.Judge.Judge, comparisons, Path.Combine(settings.Output, VerdictsName),
        set.Judge.Options with { Seed = settings.Seed }, logger: new TerminalLog(),
        cancellationToken: cancellationToken).GetAwaiter().GetResult();

    /// <summary>The rate at equal lengths, where the verdicts are enough for the fit.</summary>
    private static Estimate? LengthControlled(Comparison[] comparisons, JudgingResult judged)
    {
        LengthControlledRow[] rows =
        [
            .. comparisons.Zip(judged.Comparisons, (comparison, of) => new LengthControlledRow
            {
                Preference = of.Verdict switch { null => null, Verdict.Win => 1, Verdict.Tie => 0.5, _ => 0 },
                Length = comparison.First.Length,
                BaselineLength = comparison.Second.Length,
            }),
        ];
        // Where all end in the same way no coefficient is the best.
        if (rows.Count(row => row.Preference is not null) < 20 || rows.DistinctBy(row => row.Preference).Count() < 2)
            return null;
        var rate = LengthControlledWinRate.Of(rows).Rate;
        return double.IsFinite(rate.StandardError) ? rate : null;
    }

    private static string Digest(params object?[] of) =>
        Convert.ToHexStringLower(SHA256.HashData(Encoding.UTF8.GetBytes(JsonSerializer.Serialize(of))))[..16];
}
