using Dpo.Baselines;
using TorchSharp;

namespace Dpo.Samples;

/// <summary>What a person asked for on the command line of <see cref="ImdbCommand"/>.</summary>
internal sealed record ImdbSettings
{
    /// <summary>The part of the plan that this process does, such as <c>seed-0/sft</c>; null for the plan itself.</summary>
    public required string? Job { get; init; }

    /// <summary>The model folder; null for a small GPT-2 made here.</summary>
    public required string? Model { get; init; }

    /// <summary>Whether prefixes begin with the beginning-of-text token; null: as the model's tokenizer has it.</summary>
    public required bool? Bos { get; init; }

    /// <summary>The reviews; null for a generated corpus.</summary>
    public required string? Data { get; init; }

    /// <summary>What the data call text and label.</summary>
    public required IReadOnlyDictionary<string, string>? Columns { get; init; }

    /// <summary>The classifier whose probability is the reward; null for one trained here.</summary>
    public required string? RewardModel { get; init; }

    /// <summary>The plan's folder.</summary>
    public required string Output { get; init; }

    /// <summary>What is run, under every seed.</summary>
    public required IReadOnlyList<MethodRun> Runs { get; init; }

    /// <summary>The seeds.</summary>
    public required IReadOnlyList<int> Seeds { get; init; }

    /// <summary>The seed of this process's part.</summary>
    public required int Seed { get; init; }

    /// <summary>How fine-tuning trains.</summary>
    public required TrainingOptions Sft { get; init; }

    /// <summary>How DPO and unlikelihood train.</summary>
    public required TrainingOptions Preferring { get; init; }

    /// <summary>How Preferred-FT trains.</summary>
    public required TrainingOptions PreferredSft { get; init; }

    /// <summary>How the reward model trains.</summary>
    public required TrainingOptions Reward { get; init; }

    /// <summary>How PPO trains; the target KL is the run's.</summary>
    public required PpoOptions Ppo { get; init; }

    /// <summary>How an interruption is got over.</summary>
    public required Interruption Interruption { get; init; }

    /// <summary>Prefixes that preferences are sampled of.</summary>
    public required int Prefixes { get; init; }

    /// <summary>Prefixes that are evaluated on.</summary>
    public required int HeldOutPrefixes { get; init; }

    /// <summary>How often each run is measured, evenly over its steps.</summary>
    public required int Points { get; init; }

    /// <summary>The most that the best is taken of.</summary>
    public required int BestOf { get; init; }

    /// <summary>Tokens of a continuation.</summary>
    public required int MaxNewTokens { get; init; }

    /// <summary>Of the samples that preferences are made of.</summary>
    public required double Temperature { get; init; }

    /// <summary>Of matrix products.</summary>
    public required Precision Precision { get; init; }

    /// <summary>Where to compute.</summary>
    public required torch.Device Device { get; init; }

    /// <summary>How many runs go side by side.</summary>
    public required int SideBySide { get; init; }

    /// <summary>The command line.</summary>
    public required IReadOnlyList<string> Arguments { get; init; }

    /// <summary>Tokens of the longest prefix and its continuation, and of the beginning of text that a model's tokenizer may put
    /// in front.</summary>
    public int MaxLength => (Model is null ? 0 : 1) + Reviews.LongestPrefix + MaxNewTokens;

    /// <summary>The folder of a part under this process's seed.</summary>
    public string FolderOf(string part) => Path.Combine(Output, $"seed-{Seed}", part);

    /// <summary>What results follow from, whichever runs and seeds there are: a plan is gone on with under these alone.</summary>
    public IReadOnlyDictionary<string, string> InWords() => new Dictionary<string, string>
    {
        ["model"] = Model ?? "a small GPT-2 made here",
        ["beginning of text"] = Bos switch { null => "as the tokenizer has it", true => "on", false => "off" },
        ["reviews"] = Data ?? "a generated corpus",
        ["columns"] = Columns is null ? "as they are called" : string.Join(',', Columns.Select(of => $"{of.Key}={of.Value}")),
        ["true reward"] = RewardModel ?? "naive Bayes, trained on the reviews",
        ["fine-tuning"] = Words(Sft),
        ["DPO and unlikelihood"] = Words(Preferring),
        ["Preferred-FT"] = Words(PreferredSft),
        ["reward model"] = Words(Reward),
        ["PPO"] = FormattableString.Invariant(
            $"{Ppo.Rounds} rounds of {Ppo.RolloutSize} completions at learning rate {Ppo.LearningRate}"),
        ["prefixes"] = FormattableString.Invariant($"{Prefixes}, held out {HeldOutPrefixes}"),
        ["measurements"] = FormattableString.Invariant($"{Points} a run, and the best of at most {BestOf}"),
        ["sampling"] = FormattableString.Invariant($"{MaxNewTokens} tokens, for preferences at temperature {Temperature}"),
        ["precision"] = Precision.ToString(),
        ["device"] = Device.ToString(),
    };

    private static string Words(TrainingOptions options)
    {
        var length = options.Steps is { } steps ? $"{steps} steps" : $"{options.Epochs} epochs";
        return FormattableString.Invariant(
            $"{options.Optimizer}, learning rate {options.LearningRate}, batches of {options.BatchSize}, {length}");
    }
}
