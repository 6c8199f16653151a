using System.CommandLine;
using TorchSharp;

namespace Dpo.Samples;

/// <summary>What a person asked for on the command line of <see cref="TrainingCommand"/>.</summary>
internal sealed record TrainingSettings(
    string? Model,
    bool? Bos,
    string? Train,
    string? Eval,
    IReadOnlyDictionary<string, string>? Columns,
    string Output,
    TrainingOptions FineTuning,
    TrainingOptions Training,
    Interruption Interruption,
    IPreferenceLoss Loss,
    string Method,
    bool UsesMismatches,
    Truncation Truncation,
    int MaxLength,
    int MaxPromptLength,
    ChatTemplate? ChatTemplate,
    Precision Precision,
    torch.Device Device,
    int Seed,
    bool SkipSft,
    LoraOptions? Lora,
    WinRateSettings WinRates,
    IReadOnlyList<string> Arguments)
{
    /// <summary>The most tokens of a completion that is sampled: half of what a sequence may have leaves a prompt its
    /// room.</summary>
    public int NewTokens => Math.Min(WinRates.MaxNewTokens, MaxLength / 2);

    /// <summary>What was asked for, defaults included.</summary>
    public IReadOnlyDictionary<string, string> InWords() => new Dictionary<string, string>
    {
        ["command line"] = string.Join(' ', Arguments),
        ["model"] = Model ?? "a small GPT-2 made here",
        ["training data"] = Train ?? "a generated corpus",
        ["held-out data"] = Eval
            ?? (Train is null && WinRates.Prompts > 0 ? "a generated corpus, without prompts that are trained on" : "none"),
        ["stages"] = SkipSft ? "the loss alone" : "fine-tuning on the chosen completions, then the loss",
        ["loss"] = Loss.Description,
        ["optimizer"] = Of(training => $"{training.Optimizer}"),
        ["learning rate"] = Of(training => $"{training.LearningRate}"),
        ["batch size"] = Of(training => $"{training.BatchSize}"),
        ["length of training"] = Of(training =>
            training.Steps is { } steps ? $"{steps} steps" : (FormattableString)$"{training.Epochs} epochs"),
        ["adapter"] = Lora is null ? "none" : FormattableString.Invariant($"LoRA of rank {Lora.Rank}, α {Lora.Alpha}"),
        ["tokens"] = FormattableString.Invariant($"{MaxLength}, of a prompt {MaxPromptLength}; {Truncation}"),
        ["precision"] = Precision.ToString(),
        ["device"] = Device.ToString(),
        ["seed"] = FormattableString.Invariant($"{Seed}"),
    };

    /// <summary>What both stages have, or what each has.</summary>
    private string Of(Func<TrainingOptions, FormattableString> words)
    {
        var (fineTuning, loss) = (FormattableString.Invariant(words(FineTuning)), FormattableString.Invariant(words(Training)));
        return SkipSft || fineTuning == loss ? loss : $"{loss}; of fine-tuning {fineTuning}";
    }
}

/// <summary>
/// The command line of the programs that train on preferences from a file. Defaults are the paper's for a model that is given;
/// a small model made from scratch takes larger steps.
/// </summary>
internal sealed class TrainingCommand : RootCommand
{
    private const int fineTuningEpochs = 3, fineTuningBatchSize = 16;

    private readonly string defaultOutput;
    private readonly Truncation paperTruncation;

    private readonly Option<string?> model = CliOption.Path(
        "--model", "DIR", "A model folder in Hugging Face's layout. [default: a small GPT-2 made here]");
    private readonly Option<string> bos = CliOption.Bos();
    private readonly Option<string?> train = CliOption.Path(
        "--train", "FILE",
        "Preferences: .jsonl, .jsonl.gz, .parquet, or a folder of the last. [default: a small generated corpus]");
    private readonly Option<string?> eval = CliOption.Path(
        "--eval", "FILE",
        "Held-out preferences, evaluated after the last step; win rates are of their prompts. [default: generated ones where " +
        "--train is left out, else none]");
    private readonly Option<string?> columns = SharedOptions.Columns();
    private readonly Option<string?> output;
    private readonly Option<int?> steps = CliOption.Whole("--steps", "Optimizer steps; by default whole epochs.");
    private readonly Option<int?> epochs = CliOption.Whole(
        "--epochs", "Passes over the data. [default: 1; 3 to fine-tune the model made here]");
    private readonly Option<int?> batchSize = CliOption.Whole(
        "--batch-size",
        "Pairs in an optimizer step; labelled completions for kto, chosen ones in fine-tuning. [default: 64; 16 to fine-tune " +
        "the model made here]");
    private readonly Option<int?> microBatchSize = CliOption.Whole(
        "--micro-batch-size", "The most of them computed at once; bounds memory, changes no result.");
    private readonly Option<double?> learningRate = CliOption.Real(
        "--learning-rate",
        "Once warmed up. [default: 1e-6; 1e-5 for an adapter; for the model made here 3e-5, and 2e-3 to fine-tune it]", 0);
    private readonly Option<int?> warmupSteps = CliOption.Whole(
        "--warmup-steps", "Steps of linear warm-up; 0 is a constant rate. [default: 150; 5 for the model made here]", 0);
    private readonly Option<string> schedule = CliOption.Choice(
        "--schedule", "The learning rate's course; a cosine to fine-tune the model made here, where none is given.",
        "paper", "trl-constant", "linear", "cosine");
    private readonly Option<string> truncation = CliOption.Choice(
        "--truncation", "The paper's rule; or TRL's: keep the first --max-length tokens; or drop what is too long.",
        "paper", "keep-start", "drop");
    private readonly Option<string> optimizer = CliOption.Choice(
        "--optimizer", "The paper's is rmsprop; to fine-tune the model made here adamw, where none is given.",
        "rmsprop", "adamw");
    private readonly Option<double?> weightDecay = CliOption.Real(
        "--weight-decay", "AdamW's decoupled weight decay. [default: 0]", 0, inclusive: true);
    private readonly Option<int?> maxLength = SharedOptions.MaxLength();
    private readonly Option<int?> maxPromptLength = SharedOptions.MaxPromptLength();
    private readonly Option<string?> chatTemplate = SharedOptions.Chat();
    private readonly Option<double?> maxGradNorm = CliOption.Real(
        "--max-grad-norm", "Gradients are clipped to this global norm. [default: 10; 1 to fine-tune the model made here]", 0);
    private readonly Option<int?> seed = CliOption.Whole(
        "--seed", "Seeds data order and weights made here. [default: 0]", int.MinValue);
    private readonly Option<bool> detailedMetrics =
        new("--detailed-metrics") { Description = "Measure entropy, mean logits and token accuracy too, at some cost." };
    private readonly Option<int?> moveReferenceEvery = CliOption.Whole(
        "--move-reference-every",
        "Steps from one move of the reference towards the policy to the next (TR-DPO). [default: it stays]");
    private readonly Option<double?> moveReferenceBy = CliOption.Real(
        "--move-reference-by", "How far it moves: 1 makes it the policy. [default: 0.6]", 0);
    private readonly Option<bool> noShuffle = new("--no-shuffle") { Description = "Keep the order of the file." };
    private readonly Option<string> precision = SharedOptions.Precision();
    private readonly Option<string> device = SharedOptions.Device();
    private readonly Option<bool> skipSft = new("--skip-sft")
    {
        Description =
            "Take the model as it is for policy and reference; do not fine-tune it on the chosen completions first."
    };
    private readonly Option<int?> loraRank = CliOption.Whole(
        "--lora-rank", "Train a LoRA adapter of this rank, in both stages, and no other weight.");
    private readonly Option<double?> loraAlpha = CliOption.Real(
        "--lora-alpha", "The adapter's change is scaled by this over the rank. [default: twice the rank]", 0);
    private readonly Option<string?> loraTarget = CliOption.Path(
        "--lora-target", "NAMES",
        "Linear layers to adapt, by the ends of their names, with commas between. [default: all-linear]");

    private readonly LossCommandOptions losses;
    private readonly WinRateOptions winRates;
    private readonly InterruptionOptions interruption;

    /// <summary>Makes the command line of a program.</summary>
    /// <param name="description">What the program does.</param>
    /// <param name="defaultOutput">Where its files go.</param>
    /// <param name="defaultBeta">The paper's β for it.</param>
    /// <param name="paperTruncation">Which end of a long prompt the paper keeps.</param>
    /// <param name="comparisons">Which other methods the program can measure.</param>
    /// <param name="hasNews">Whether it has a use for news articles.</param>
    public TrainingCommand(
        string description, string defaultOutput, double defaultBeta, Truncation paperTruncation, string[] comparisons,
        bool hasNews = false)
        : base(description)
    {
        this.defaultOutput = defaultOutput;
        this.paperTruncation = paperTruncation;
        output = CliOption.Path("--output", "DIR", $"Where metrics and models go. [default: {defaultOutput}]");
        foreach (var option in (Option[])
        [
            model, bos, train, eval, columns, output,
            steps, epochs, batchSize, microBatchSize, learningRate, warmupSteps, schedule, truncation, optimizer,
            weightDecay, maxLength, maxPromptLength, chatTemplate, maxGradNorm, detailedMetrics, moveReferenceEvery,
            moveReferenceBy, seed, noShuffle, precision, device, skipSft,
            loraRank, loraAlpha, loraTarget,
        ])
            Options.Add(option);
        losses = new LossCommandOptions(this, defaultBeta);
        winRates = new WinRateOptions(this, comparisons, hasNews);
        interruption = new InterruptionOptions(this);
        Subcommands.Add(Reports.Command());
        Subcommands.Add(new ScoreCommand(defaultBeta, paperTruncation));
    }

    /// <summary>Parses the arguments and runs the program with them.</summary>
    /// <returns>The exit code.</returns>
    public int Run(string[] args, Action<TrainingSettings, CancellationToken> program) =>
        SampleProgram.Run(this, args, (parsed, cancellationToken) =>
        {
            var settings = Settings(parsed);
            OutputFolder.Hold(
                settings.Output, settings.Model, settings.Interruption,
                () => program(settings, cancellationToken));
        });

    private TrainingSettings Settings(ParseResult parsed)
    {
        var fromScratch = parsed.GetValue(model) is null;
        var training = new TrainingOptions
        {
            Optimizer = parsed.GetValue(optimizer) == "adamw" ? OptimizerKind.AdamW : OptimizerKind.RmsProp,
            LearningRate = parsed.GetValue(learningRate)
                ?? (fromScratch ? 3e-5 : parsed.GetValue(loraRank) is null ? 1e-6 : 1e-5),
            Schedule = Schedule(parsed.GetValue(schedule), parsed.GetValue(warmupSteps) ?? (fromScratch ? 5 : 150)),
            WeightDecay = parsed.GetValue(weightDecay) ?? 0,
            MaxGradNorm = parsed.GetValue(maxGradNorm) ?? 10,
            BatchSize = parsed.GetValue(batchSize) ?? 64,
            MicroBatchSize = parsed.GetValue(microBatchSize) ?? int.MaxValue,
            Epochs = parsed.GetValue(epochs) ?? 1,
            Steps = parsed.GetValue(steps),
            DetailedMetrics = parsed.GetValue(detailedMetrics),
            MoveReferenceEvery = parsed.GetValue(moveReferenceEvery),
            MoveReferenceBy = parsed.GetValue(moveReferenceBy) ?? 0.6,
            Shuffle = !parsed.GetValue(noShuffle),
            Seed = parsed.GetValue(seed) ?? 0,
        };
        if (training is { WeightDecay: > 0, Optimizer: OptimizerKind.RmsProp })
            throw new InvalidInputException("--weight-decay goes with --optimizer adamw; RMSprop has none.");
        if (training.MoveReferenceBy > 1)
            throw new InvalidInputException(
                "--move-reference-by: the value must be at most 1, which makes the reference the policy.");
        if (training.MoveReferenceEvery is null && parsed.GetValue(moveReferenceBy) is not null)
            throw new InvalidInputException("--move-reference-by goes with --move-reference-every.");
        var (lossNames, loss) = losses.Parse(parsed);
        // A model made here learns to write first.
        bool IsGiven(Option option) => parsed.GetResult(option) is { Implicit: false };
        var fineTuning = !fromScratch ? training : training with
        {
            Optimizer = IsGiven(optimizer) ? training.Optimizer : OptimizerKind.AdamW,
            LearningRate = parsed.GetValue(learningRate) ?? 2e-3,
            Schedule = IsGiven(schedule) || IsGiven(warmupSteps) ? training.Schedule : LearningRateSchedules.Cosine(10),
            MaxGradNorm = parsed.GetValue(maxGradNorm) ?? 1,
            BatchSize = parsed.GetValue(batchSize) ?? fineTuningBatchSize,
            Epochs = parsed.GetValue(epochs) ?? fineTuningEpochs,
        };
        var lengths = SharedOptions.Lengths(parsed.GetValue(maxLength), parsed.GetValue(maxPromptLength));
        var settings = new TrainingSettings(
            parsed.GetValue(model), CliOption.ToBos(parsed.GetValue(bos), parsed.GetValue(model)),
            parsed.GetValue(train), parsed.GetValue(eval), CliOption.Columns(columns.Name, parsed.GetValue(columns)),
            parsed.GetValue(output) ?? defaultOutput, fineTuning, training, interruption.Parse(parsed),
            loss, lossNames is ["sigmoid"] ? "DPO" : string.Join(" + ", lossNames), lossNames.Contains("kto"),
            parsed.GetValue(truncation) switch
            {
                "keep-start" => Truncation.KeepStart,
                "drop" => Truncation.Drop,
                _ => paperTruncation
            },
            lengths.Whole, lengths.Prompt, SharedOptions.ToChatTemplate(parsed.GetValue(chatTemplate)),
            CliOption.ToPrecision(parsed.GetValue(precision)), StartingPoint.Device(parsed.GetValue(device)!),
            training.Seed, parsed.GetValue(skipSft), Lora(parsed, fromScratch),
            winRates.Parse(parsed, fromScratch), [.. parsed.Tokens.Select(token => token.Value)]);
        if (settings.WinRates.Reward is { } judge && OutputFolder.IsBelow(settings.Output, judge))
            throw new InvalidInputException(
                $"--output {settings.Output}: the reward model of --judge-reward lies in it, and may be replaced; give another " +
                "folder.");
        if (training.MoveReferenceEvery is not null && !loss.UsesReference)
            throw new InvalidInputException(
                "--move-reference-every: the loss does without a reference, so there is none to move.");
        if (settings.Truncation != Truncation.KeepStart && settings.MaxPromptLength >= settings.MaxLength)
            throw new InvalidInputException(
                "--max-prompt-length must be below --max-length, or no token is left for a completion.");
        return settings;
    }

    private LoraOptions? Lora(ParseResult parsed, bool fromScratch)
    {
        var (alpha, target) = (parsed.GetValue(loraAlpha), parsed.GetValue(loraTarget));
        if (parsed.GetValue(loraRank) is not { } rank)
            return alpha is null && target is null
                ? null
                : throw new InvalidInputException("--lora-alpha and --lora-target go with --lora-rank.");
        if (fromScratch)
            throw new InvalidInputException(
                "--lora-rank goes with --model: an adapter can change a trained model, but not stand in for its training.");
        return new LoraOptions
        {
            Rank = rank,
            Alpha = alpha ?? 2.0 * rank,
            TargetModules = (target ?? LoraOptions.AllLinear).Split(',', StringSplitOptions.TrimEntries),
            Seed = parsed.GetValue(seed) ?? 0,
        };
    }

    private static LearningRateSchedule Schedule(string? name, int warmupSteps) => name switch
    {
        "trl-constant" => LearningRateSchedules.TrlConstant(warmupSteps),
        "linear" => LearningRateSchedules.Linear(warmupSteps),
        "cosine" => LearningRateSchedules.Cosine(warmupSteps),
        _ => LearningRateSchedules.Paper(warmupSteps),
    };
}
