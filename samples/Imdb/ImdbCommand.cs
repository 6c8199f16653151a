using System.CommandLine;
using TorchSharp;

namespace Dpo.Samples;

/// <summary>What a person asked for on the command line of <see cref="ImdbCommand"/>.</summary>
internal sealed record ImdbSettings(
    string? Model,
    bool? Bos,
    string? Data,
    IReadOnlyDictionary<string, string>? Columns,
    string? RewardModel,
    string Output,
    TrainingOptions Sft,
    TrainingOptions Dpo,
    Interruption Interruption,
    double Beta,
    int Prefixes,
    int HeldOutPrefixes,
    int MaxNewTokens,
    double Temperature,
    Precision Precision,
    torch.Device Device,
    int Seed,
    IReadOnlyList<string> Arguments)
{
    /// <summary>Tokens of the longest prefix and its continuation, and of the beginning of text that a model's tokenizer may put
    /// in front.</summary>
    public int MaxLength => (Model is null ? 0 : 1) + Reviews.LongestPrefix + MaxNewTokens;

    /// <summary>What was asked for, defaults included.</summary>
    public IReadOnlyDictionary<string, string> InWords() => new Dictionary<string, string>
    {
        ["command line"] = string.Join(' ', Arguments),
        ["model"] = Model ?? "a small GPT-2 made here",
        ["reviews"] = Data ?? "a generated corpus",
        ["true reward"] = RewardModel ?? "naive Bayes, trained on the reviews",
        ["β"] = FormattableString.Invariant($"{Beta}"),
        ["learning rate"] = FormattableString.Invariant($"{Dpo.LearningRate}, of fine-tuning {Sft.LearningRate}"),
        ["batch size"] = FormattableString.Invariant($"{Dpo.BatchSize}"),
        ["prefixes"] = FormattableString.Invariant($"{Prefixes}, held out {HeldOutPrefixes}"),
        ["sampling"] = FormattableString.Invariant($"{MaxNewTokens} tokens at temperature {Temperature}"),
        ["precision"] = Precision.ToString(),
        ["device"] = Device.ToString(),
        ["seed"] = FormattableString.Invariant($"{Seed}"),
    };
}

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
        "--output", "DIR", "Where metrics, summary and models go. [default: artifacts/imdb]");
    private readonly Option<int?> prefixes = CliOption.Whole(
        "--prefixes", "Prefixes to sample preferences from. [default: 1000; the paper's 25000 with --model]");
    private readonly Option<int?> heldOut = CliOption.Whole("--held-out-prefixes", "Prefixes to evaluate on. [default: 500]", 2);
    private readonly Option<int?> sftSteps = CliOption.Whole(
        "--sft-steps", "Optimizer steps of fine-tuning; by default whole epochs, 6, or 1 with --model.");
    private readonly Option<int?> steps = CliOption.Whole("--steps", "Optimizer steps of DPO; by default one epoch.");
    private readonly Option<int?> batchSize = CliOption.Whole(
        "--batch-size", "Pairs in a step of DPO, reviews in a step of fine-tuning. [default: 64]", 6);
    private readonly Option<double?> learningRate = CliOption.Real(
        "--learning-rate", "Of DPO. [default: 1e-5; 1e-6 with --model]", 0);
    private readonly Option<double?> sftLearningRate = CliOption.Real(
        "--sft-learning-rate", "Of fine-tuning. [default: 2e-3; 1e-6 with --model]", 0);
    private readonly Option<double?> beta = CliOption.Real(
        "--beta", "How strongly the policy is held to the reference. [default: 0.1]", 0);
    private readonly Option<int?> maxNewTokens = CliOption.Whole("--max-new-tokens", "Tokens of a continuation. [default: 60]");
    private readonly Option<double?> temperature = CliOption.Real(
        "--temperature", "Of the samples that preferences are made of. [default: 1]", 0);
    private readonly Option<int?> seed = CliOption.Whole("--seed", "Seeds everything drawn. [default: 0]", 0);
    private readonly Option<string> precision = CliOption.Choice(
        "--precision", "Of matrix products; weights and losses are fp32 with either.", "fp32", "bf16");
    private readonly Option<string> device = CliOption.Choice("--device", "Where to compute.", "cpu", "cuda");

    private readonly InterruptionOptions interruption;

    public ImdbCommand()
        : base("Trains a language model with DPO to continue film reviews favourably, and measures reward and KL.")
    {
        foreach (var option in (Option[])
        [
            model, bos, data, columns,
            rewardModel, output, prefixes, heldOut, sftSteps, steps, batchSize, learningRate, sftLearningRate, beta, maxNewTokens,
            temperature, seed, precision, device,
        ])
            Options.Add(option);
        interruption = new InterruptionOptions(this);
        Subcommands.Add(Reports.Command());
        Subcommands.Add(new ScoreCommand(defaultBeta: 0.1, Truncation.PaperKeepPromptEnd));
    }

    /// <summary>Parses the arguments and runs the program with them.</summary>
    /// <returns>The exit code.</returns>
    public int Run(string[] args, Action<ImdbSettings, CancellationToken> program) =>
        SampleProgram.Run(this, args, (parsed, cancellationToken) =>
        {
            var settings = Settings(parsed);
            OutputFolder.Hold(
                settings.Output, settings.Model, settings.Interruption,
                () => program(settings, cancellationToken));
        });

    private ImdbSettings Settings(ParseResult parsed)
    {
        var fromScratch = parsed.GetValue(model) is null;
        var warmup = LearningRateSchedules.Paper(fromScratch ? 10 : 150);
        var dpo = new TrainingOptions
        {
            LearningRate = parsed.GetValue(learningRate) ?? (fromScratch ? 1e-5 : 1e-6),
            Schedule = warmup,
            BatchSize = parsed.GetValue(batchSize) ?? 64,
            Steps = parsed.GetValue(steps),
            Seed = parsed.GetValue(seed) ?? 0,
        };
        var sft = dpo with
        {
            Optimizer = fromScratch ? OptimizerKind.AdamW : OptimizerKind.RmsProp,
            LearningRate = parsed.GetValue(sftLearningRate) ?? (fromScratch ? 2e-3 : 1e-6),
            Schedule = fromScratch ? LearningRateSchedules.Cosine(10) : warmup,
            Steps = parsed.GetValue(sftSteps),
            Epochs = fromScratch ? 6 : 1,
            MaxGradNorm = fromScratch ? 1 : 10,
        };
        return new ImdbSettings(
            parsed.GetValue(model), CliOption.ToBos(parsed.GetValue(bos), parsed.GetValue(model)),
            parsed.GetValue(data), CliOption.Columns(columns.Name, parsed.GetValue(columns)), parsed.GetValue(rewardModel),
            parsed.GetValue(output) ?? "artifacts/imdb", sft, dpo, interruption.Parse(parsed), parsed.GetValue(beta) ?? 0.1,
            parsed.GetValue(prefixes) ?? (fromScratch ? 1000 : 25000), parsed.GetValue(heldOut) ?? 500,
            parsed.GetValue(maxNewTokens) ?? 60, parsed.GetValue(temperature) ?? 1,
            CliOption.ToPrecision(parsed.GetValue(precision)), StartingPoint.Device(parsed.GetValue(device)!), dpo.Seed,
            [.. parsed.Tokens.Select(token => token.Value)]);
    }
}
