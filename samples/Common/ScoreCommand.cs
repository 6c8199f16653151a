using System.CommandLine;
using TorchSharp;

namespace Dpo.Samples;

/// <summary>What a person asked for by <see cref="ScoreCommand"/>.</summary>
internal sealed record ScoreSettings(
    string Policy,
    string Reference,
    bool? Bos,
    string Data,
    bool IsRewardBench,
    IReadOnlyDictionary<string, string>? Columns,
    string Output,
    double Beta,
    Truncation Truncation,
    int MaxLength,
    int MaxPromptLength,
    (string Name, ChatTemplate Template)? Chat,
    Precision Precision,
    torch.Device Device)
{
    /// <summary>What was asked for, defaults included.</summary>
    public IReadOnlyDictionary<string, string> InWords() => new Dictionary<string, string>
    {
        ["policy"] = Policy,
        ["reference"] = Reference,
        ["data"] = Data,
        ["format"] = IsRewardBench ? "RewardBench's" : "preferences",
        ["β"] = FormattableString.Invariant($"{Beta}"),
        ["tokens"] = FormattableString.Invariant($"{MaxLength}, of a prompt {MaxPromptLength}; {Truncation}"),
        ["chat template"] = Chat?.Name ?? "none",
        ["precision"] = Precision.ToString(),
        ["device"] = Device.ToString(),
    };
}

/// <summary><c>score</c>: a policy and its reference as a reward model.</summary>
internal sealed class ScoreCommand : Command
{
    private readonly double defaultBeta;
    private readonly Truncation truncation;

    private readonly Option<string> policy = Required("--policy", "DIR", "The model that was trained, with its tokenizer.");
    private readonly Option<string> reference = Required(
        "--reference", "DIR", "The model that it was trained from, such as the folder sft of its run.");
    private readonly Option<string> data = Required(
        "--data", "FILE", "Preferences: .jsonl, .jsonl.gz, .parquet, or a folder of the last.");
    private readonly Option<string> output = Required("--output", "DIR", "Where rewards and report go.");
    private readonly Option<bool> rewardBench = new("--rewardbench")
    {
        Description = "The data are in RewardBench's format: accuracies by subset and section. Prompts become a chat's where " +
            "--chat-template is given.",
    };
    private readonly Option<bool> overwrite = new("--overwrite") { Description = "Replace earlier scores in the output folder." };
    private readonly Option<string> bos = CliOption.Bos();
    private readonly Option<double?> beta;
    private readonly Option<string?> columns = SharedOptions.Columns();
    private readonly Option<int?> maxLength = SharedOptions.MaxLength();
    private readonly Option<int?> maxPromptLength = SharedOptions.MaxPromptLength();
    private readonly Option<string?> chatTemplate = SharedOptions.Chat();
    private readonly Option<string> precision = SharedOptions.Precision();
    private readonly Option<string> device = SharedOptions.Device();

    public ScoreCommand(double defaultBeta, Truncation truncation)
        : base("score", "Takes a policy and its reference as a reward model: rewards of pairs, accuracy, calibration.")
    {
        (this.defaultBeta, this.truncation) = (defaultBeta, truncation);
        beta = CliOption.Real("--beta", $"The rewards' scale, as in the policy's training. [default: {defaultBeta}]", 0);
        foreach (var option in (Option[])
        [
            policy, reference, data, rewardBench, columns, output, overwrite, bos, beta, maxLength, maxPromptLength, chatTemplate,
            precision, device,
        ])
            Options.Add(option);
    }

    /// <summary>Scores what the arguments name.</summary>
    public void Run(ParseResult parsed, CancellationToken cancellationToken)
    {
        var lengths = SharedOptions.Lengths(parsed.GetValue(maxLength), parsed.GetValue(maxPromptLength));
        if (lengths.Prompt >= lengths.Whole)
            throw new InvalidInputException(
                "--max-prompt-length must be below --max-length, or no token is left for a completion.");
        if (parsed.GetValue(rewardBench) && parsed.GetValue(columns) is not null)
            throw new InvalidInputException("--columns does not go with --rewardbench, whose columns have their names.");
        var template = parsed.GetValue(chatTemplate);
        var settings = new ScoreSettings(
            parsed.GetRequiredValue(policy), parsed.GetRequiredValue(reference),
            CliOption.ToBos(parsed.GetValue(bos), parsed.GetRequiredValue(policy)), parsed.GetRequiredValue(data),
            parsed.GetValue(rewardBench), CliOption.Columns(columns.Name, parsed.GetValue(columns)),
            parsed.GetRequiredValue(output), parsed.GetValue(beta) ?? defaultBeta, truncation, lengths.Whole, lengths.Prompt,
            template is null ? null : (template, SharedOptions.ToChatTemplate(template)!),
            CliOption.ToPrecision(parsed.GetValue(precision)), StartingPoint.Device(parsed.GetValue(device)!));
        OutputFolder.RequireFreeForScores(settings.Output, parsed.GetValue(overwrite));
        Scoring.Run(settings, cancellationToken);
    }

    private static Option<string> Required(string name, string helpName, string description) =>
        new(name) { Description = description, HelpName = helpName, Required = true };
}
