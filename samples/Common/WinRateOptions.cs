using System.CommandLine;

namespace Dpo.Samples;

/// <summary>What is measured once a model is trained, and who judges it.</summary>
/// <param name="Prompts">How many held-out prompts are completed; 0 measures nothing.</param>
/// <param name="MaxNewTokens">The most tokens of a completion.</param>
/// <param name="Compare">Which other methods are measured too.</param>
/// <param name="NotCompared">Which others are not, and why, a sentence each.</param>
/// <param name="News">News articles for a model of posts; null for generated ones or none.</param>
/// <param name="Endpoint">The service of the judge; null for another judge.</param>
/// <param name="Model">The model that it is to ask.</param>
/// <param name="Reward">The folder of a reward model that judges; null for another judge.</param>
internal sealed record WinRateSettings(
    int Prompts, int MaxNewTokens, IReadOnlyList<string> Compare, IReadOnlyList<string> NotCompared, string? News, Uri? Endpoint,
    string? Model, string? Reward);

/// <summary>The options of a command line that ask for <see cref="WinRateSettings"/>.</summary>
internal sealed class WinRateOptions
{
    private const string None = "none";

    private readonly string[] comparisons;

    private readonly Option<int?> prompts = CliOption.Whole(
        "--win-rate-prompts", "Held-out prompts whose completions are judged; 0 for no win rates. [default: 200]", 0);
    private readonly Option<int?> maxNewTokens = CliOption.Whole(
        "--max-new-tokens", "The most tokens of a completion that is judged. [default: 128; 48 for the model made here]");
    private readonly Option<string?> compare;
    private readonly Option<string?> news = CliOption.Path(
        "--news", "FILE",
        "News articles, which the model was not trained for: SummEval's JSON Lines, or rows with prompt, chosen and maybe " +
        "rejected. [default: a small generated corpus; none with --train]");
    private readonly Option<string?> endpoint = CliOption.Path(
        "--judge-endpoint", "URL",
        "A service that speaks OpenAI's protocol, whose model judges; its key is taken from the environment variable " +
        "OPENAI_API_KEY. [default: what was put into generated data; for files of your own likeness to the chosen completion]");
    private readonly Option<string?> judgeModel = new("--judge-model")
    {
        Description = "The model that the service is to ask.",
        HelpName = "NAME",
    };
    private readonly Option<string?> reward = CliOption.Path(
        "--judge-reward", "DIR", "A reward model's folder, with its tokenizer, which judges in the service's place.");

    /// <summary>Adds the options to a command.</summary>
    /// <param name="command">The command.</param>
    /// <param name="comparisons">Which other methods the program can measure.</param>
    /// <param name="hasNews">Whether the program has a use for news articles.</param>
    public WinRateOptions(RootCommand command, string[] comparisons, bool hasNews)
    {
        this.comparisons = comparisons;
        var names = string.Join(",", comparisons);
        compare = CliOption.List(
            "--compare", $"{names}|{None}",
            $"What else is measured, at a cost. [default: {names} for the model made here, {None} with --model]");
        foreach (var option in (Option[])[prompts, maxNewTokens, compare, endpoint, judgeModel, reward])
            command.Options.Add(option);
        if (hasNews)
            command.Options.Add(news);
    }

    /// <summary>What a person asked for.</summary>
    public WinRateSettings Parse(ParseResult parsed, bool fromScratch)
    {
        var service = parsed.GetValue(endpoint) is not { } url ? null
            : Uri.TryCreate(url, UriKind.Absolute, out var address) && address.Scheme is "http" or "https" ? address
            : throw new InvalidInputException(
                $"{endpoint.Name} {url}: the value must be an address, such as https://api.openai.com/v1.");
        var (name, folder) = (parsed.GetValue(judgeModel), parsed.GetValue(reward));
        if (service is null != name is null)
            throw new InvalidInputException($"{endpoint.Name} and {judgeModel.Name} go together: give both.");
        if (service is not null && folder is not null)
            throw new InvalidInputException($"{reward.Name} judges in the place of {endpoint.Name}: give one of them.");
        var compared = Names(parsed.GetValue(compare), fromScratch);
        return new WinRateSettings(
            parsed.GetValue(prompts) ?? 200, parsed.GetValue(maxNewTokens) ?? (fromScratch ? 48 : 128), compared,
            [.. comparisons.Except(compared).Select(other => $"Win rates of {other}: left out by --compare.")],
            parsed.GetValue(news), service, name, folder);
    }

    private IReadOnlyList<string> Names(string? text, bool fromScratch)
    {
        if (text is null)
            return fromScratch ? comparisons : [];
        string[] names = text == None ? [] : text.Split(',', StringSplitOptions.TrimEntries);
        return names.Except(comparisons).FirstOrDefault() is not { } unknown ? names : throw new InvalidInputException(
            $"{compare.Name} {text}: {unknown} is none of {string.Join(", ", comparisons)}; give some of these, or {None}.");
    }
}
