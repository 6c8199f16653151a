using System.CommandLine;

namespace Dpo.Samples;

/// <summary>Options that training and scoring have in common.</summary>
internal static class SharedOptions
{
    private static readonly Dictionary<string, ChatTemplate> chatTemplates = new()
    {
        ["chatml"] = ChatTemplate.ChatMl,
        ["llama3"] = ChatTemplate.Llama3,
        ["zephyr"] = ChatTemplate.Zephyr,
        ["hh"] = ChatTemplate.HelpfulHarmless,
    };

    /// <summary>What data call their fields; read it by <see cref="CliOption.Columns"/>.</summary>
    public static Option<string?> Columns() => CliOption.List(
        "--columns", "FIELD=COLUMN,…",
        "What the data call their fields, where it is something else: prompt=question, prompt=instruction+input; prompt= where " +
        "prompts are not apart.");

    /// <summary>The most tokens of prompt and completion.</summary>
    public static Option<int?> MaxLength() =>
        CliOption.Whole("--max-length", "Tokens of prompt and completion. [default: 512]", 2);

    /// <summary>What a prompt is cut to.</summary>
    public static Option<int?> MaxPromptLength() => CliOption.Whole(
        "--max-prompt-length", "Tokens a prompt is cut to where both do not fit. [default: 256]");

    /// <summary>Both lengths, defaults in the place of what is not given.</summary>
    public static (int Whole, int Prompt) Lengths(int? maxLength, int? maxPromptLength) =>
        (maxLength ?? 512, maxPromptLength ?? Math.Min(256, (maxLength ?? 512) / 2));

    /// <summary>How a chat is written down; read it by <see cref="ToChatTemplate"/>.</summary>
    public static Option<string?> Chat()
    {
        var option = new Option<string?>("--chat-template")
        {
            Description = "How the model has a chat written down, for data whose rows hold messages.",
            HelpName = string.Join("|", chatTemplates.Keys),
        };
        option.Validators.Add(result =>
        {
            if (result.Tokens is [{ Value: var name }] && !chatTemplates.ContainsKey(name))
                result.AddError($"--chat-template {name}: the value must be one of {option.HelpName}");
        });
        return option;
    }

    /// <summary>The chat template of a name; null for none.</summary>
    public static ChatTemplate? ToChatTemplate(string? name) => name is null ? null : chatTemplates[name];

    /// <summary>The precision; read it by <see cref="CliOption.ToPrecision"/>.</summary>
    public static Option<string> Precision() => CliOption.Choice(
        "--precision", "Of matrix products; weights and losses are fp32 with either.", "fp32", "bf16");

    /// <summary>The device; read it by <see cref="StartingPoint.Device"/>.</summary>
    public static Option<string> Device() => CliOption.Choice("--device", "Where to compute.", "cpu", "cuda");
}
