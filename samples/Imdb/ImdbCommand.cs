using System.CommandLine;
using System.Globalization;
using Dpo.Baselines;

namespace Dpo.Samples;

/// <summary>The command line of the IMDb program. Defaults train a small model from scratch in minutes; for a model that is
/// given they are the paper's.</summary>
internal sealed class ImdbCommand : RootCommand
{
    private readonly Option<string?> model = CliOption.Path(
        "--model", "DIR", "A model folder in Hugging Face's layout. [default: a small GPT-2 made here]");
    private readonly Option<string> bos = CliOption.Bos();
    private readonly Option<string?> data = CliOption.Path(
        "--data", "PATH",
        "Reviews: .jsonl, .jsonl.gz or .parquet with text and label, or the aclImdb folder. [default: a generated corpus]");
    private readonly Option<string?> columns = CliOption.List(
        "--columns", "FIELD=COLUMN,…",
        "What the data call text and label, where it is something else: text=review,label=sentiment.");
    private readonly Option<string?> rewardModel = CliOption.Path(
        "--reward-model", "DIR",
        "A RoBERTa classifier with a label POSITIVE, whose probability is the reward; the paper's is " +
        "siebert/sentiment-roberta-large-english. [default: naive Bayes, trained on the reviews]");
    private readonly Option<string?> output = CliOption.Path(
        "--output", "DIR", "Where the plan, its runs and the report go. [default: artifacts/imdb]");
    private readonly Option<string?> runs = CliOption.List(
        "--runs", "NAME,…", $"What to run: {MethodRun.Forms}. [default: {string.Join(',', MethodRun.Few)}]");
    private readonly Option<bool> full = new("--full") { Description = "Run all 22 of the paper's Figure 2 (left)." };
    private readonly Option<int?> seeds = CliOption.Whole(
        "--seeds", "How many seeds to run everything under, from --seed on. [default: 1]");
    private readonly Option<int?> jobs = CliOption.Whole(
        "--jobs", "Runs side by side, each in a process of its own. [default: as many as cores; 1 with --model]");
    private readonly Option<int?> points = CliOption.Whole(
        "--points", "Measurements of each run, evenly over its steps. [default: 4]");
    private readonly Option<int?> bestOf = CliOption.Whole(
        "--best-of", "The most completions that best-of-n takes the best of, a power of 2. [default: 32]", 2);
    private readonly Option<int?> prefixes = CliOption.Whole(
        "--prefixes", "Prefixes to sample preferences from. [default: 1000; the paper's 25000 with --model]");
    private readonly Option<int?> heldOut = CliOption.Whole("--held-out-prefixes", "Prefixes to evaluate on. [default: 500]", 2);
    private readonly Option<int?> sftSteps = CliOption.Whole(
        "--sft-steps", "Optimizer steps of fine-tuning; by default whole epochs, 6, or 1 with --model.");
    private readonly Option<int?> steps = CliOption.Whole(
        "--steps", "Optimizer steps of DPO, unlikelihood and Preferred-FT; by default one epoch.");
    private readonly Option<int?> ppoRounds = CliOption.Whole(
        "--ppo-rounds", "Rounds of PPO, of 256 completions each, or 1,024 with --model. [default: 40; 100 with --model]");
    private readonly Option<int?> batchSize = CliOption.Whole(
        "--batch-size", "Pairs in a step of DPO, reviews in a step of fine-tuning. [default: 64]", 6);
    private readonly Option<double?> learningRate = CliOption.Real(
        "--learning-rate", "Of DPO and unlikelihood. [default: 1e-5; 1e-6 with --model]", 0);
    private readonly Option<double?> sftLearningRate = CliOption.Real(
        "--sft-learning-rate", "Of fine-tuning. [default: 2e-3; 1e-6 with --model]", 0);
    private readonly Option<int?> maxNewTokens = CliOption.Whole("--max-new-tokens", "Tokens of a continuation. [default: 60]");
    private readonly Option<double?> temperature = CliOption.Real(
        "--temperature", "Of the samples that preferences are made of. [default: 1]", 0);
    private readonly Option<int?> seed = CliOption.Whole("--seed", "Seeds everything drawn. [default: 0]", 0);
    private readonly Option<string> precision = CliOption.Choice(
        "--precision", "Of matrix products; weights and losses are fp32 with either.", "fp32", "bf16");
    private readonly Option<string> device = CliOption.Choice("--device", "Where to compute.", "cpu", "cuda");
    private readonly Option<string?> job = new(JobProcess.Option) { Hidden = true };

    private readonly InterruptionOptions interruption;

    public ImdbCommand()
        : base("Trains a language model to continue film reviews favourably, by DPO and what the paper compares it with, and " +
            "measures reward and KL: Figure 2 (left).")
    {
        foreach (var option in (Option[])
        [
            runs, full, seeds, jobs, points, bestOf, model, bos, data, columns, rewardModel, output, prefixes, heldOut, sftSteps,
            steps, ppoRounds, batchSize, learningRate, sftLearningRate, maxNewTokens, temperature, seed, precision, device, job,
        ])
            Options.Add(option);
        interruption = new InterruptionOptions(this);
        Subcommands.Add(Reports.Command());
        Subcommands.Add(new ScoreCommand(defaultBeta: 0.1, Truncation.PaperKeepPromptEnd));
    }

    /// <summary>Parses the arguments and runs the program with them.</summary>
    /// <returns>The exit code.</returns>
    public int Run(string[] args, Action<ImdbSettings, CancellationToken> program) =>
        SampleProgram.Run(this, args, (parsed, cancellationToken) => program(Settings(parsed, args), cancellationToken));

    private ImdbSettings Settings(ParseResult parsed, string[] args)
    {
        var fromScratch = parsed.GetValue(model) is null;
        var first = parsed.GetValue(seed) ?? 0;
        var own = parsed.GetValue(job) is { } name ? SeedOf(name) : first;
        var warmup = LearningRateSchedules.Paper(fromScratch ? 10 : 150);
        var preferring = new TrainingOptions
        {
            LearningRate = parsed.GetValue(learningRate) ?? (fromScratch ? 1e-5 : 1e-6),
            Schedule = warmup,
            BatchSize = parsed.GetValue(batchSize) ?? 64,
            Steps = parsed.GetValue(steps),
            Seed = own,
        };
        return new ImdbSettings
        {
            Job = parsed.GetValue(job),
            Model = parsed.GetValue(model),
            Bos = CliOption.ToBos(parsed.GetValue(bos), parsed.GetValue(model)),
            Data = parsed.GetValue(data),
            Columns = CliOption.Columns(columns.Name, parsed.GetValue(columns)),
            RewardModel = parsed.GetValue(rewardModel),
            Output = parsed.GetValue(output) ?? "artifacts/imdb",
            Runs = Runs(parsed.GetValue(runs), parsed.GetValue(full)),
            Seeds = [.. Enumerable.Range(first, parsed.GetValue(seeds) ?? 1)],
            Seed = own,
            Sft = preferring with
            {
                Optimizer = fromScratch ? OptimizerKind.AdamW : OptimizerKind.RmsProp,
                LearningRate = parsed.GetValue(sftLearningRate) ?? (fromScratch ? 2e-3 : 1e-6),
                Schedule = fromScratch ? LearningRateSchedules.Cosine(10) : warmup,
                Steps = parsed.GetValue(sftSteps),
                Epochs = fromScratch ? 6 : 1,
                MaxGradNorm = fromScratch ? 1 : 10,
            },
            Preferring = preferring,
            PreferredSft = !fromScratch ? preferring
                : preferring with { Optimizer = OptimizerKind.AdamW, LearningRate = 1e-4, MaxGradNorm = 1 },
            Reward = preferring with
            {
                Optimizer = OptimizerKind.AdamW,
                LearningRate = fromScratch ? 2e-4 : 1e-5,
                Schedule = LearningRateSchedules.Linear(10),
                Steps = null,
                MaxGradNorm = 1,
            },
            Ppo = Ppo(parsed, fromScratch) with { Seed = own },
            Interruption = Interruption(parsed),
            Prefixes = parsed.GetValue(prefixes) ?? (fromScratch ? 1000 : 25000),
            HeldOutPrefixes = parsed.GetValue(heldOut) ?? 500,
            Points = parsed.GetValue(points) ?? 4,
            BestOf = parsed.GetValue(bestOf) ?? 32,
            MaxNewTokens = parsed.GetValue(maxNewTokens) ?? 60,
            Temperature = parsed.GetValue(temperature) ?? 1,
            Precision = CliOption.ToPrecision(parsed.GetValue(precision)),
            Device = StartingPoint.Device(parsed.GetValue(device)!),
            SideBySide = parsed.GetValue(jobs) ?? (fromScratch ? Environment.ProcessorCount : 1),
            Arguments = args,
        };
    }

    /// <summary>A plan is gone on with unless it is replaced, and its parts from their checkpoints where there are
    /// some.</summary>
    private Interruption Interruption(ParseResult parsed)
    {
        var asked = interruption.Parse(parsed);
        return asked.CheckpointEvery is null ? asked : asked with { Resume = !asked.Overwrite };
    }

    /// <summary>The paper names no constants of its PPO: these are TRL's of its time, and for the small model made here larger
    /// steps in smaller rounds.</summary>
    private PpoOptions Ppo(ParseResult parsed, bool fromScratch) =>
        (fromScratch
            ? PpoOptions.Paper with
            {
                RolloutSize = 256,
                MiniBatchSize = 64,
                LearningRate = 2e-4,
                KlCoefficient = 0.05,
                KlHorizon = 2000,
            }
            : PpoOptions.Paper) with
        {
            Rounds = parsed.GetValue(ppoRounds) ?? (fromScratch ? 40 : 100),
            Sampling = new SamplingOptions { MaxNewTokens = parsed.GetValue(maxNewTokens) ?? 60, BatchSize = Sampling.BatchSize },
        };

    private static IReadOnlyList<MethodRun> Runs(string? names, bool isFull)
    {
        if (names is not null && isFull)
            throw new InvalidInputException("--runs names what to run and --full is all of it; give one of them.");
        var named = names?.Split(',') ?? (isFull ? MethodRun.All : MethodRun.Few);
        return [.. named.Select(MethodRun.Parse).DistinctBy(run => run.Name)];
    }

    private static int SeedOf(string job) => job.StartsWith("seed-", StringComparison.Ordinal) && job.Split('/') is [var seed, _]
        && int.TryParse(seed["seed-".Length..], NumberStyles.None, CultureInfo.InvariantCulture, out var number)
            ? number
            : throw new InvalidInputException($"{JobProcess.Option} {job}: the plan has no such part.");
}
