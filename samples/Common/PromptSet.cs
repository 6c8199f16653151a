namespace Dpo.Samples;

/// <summary>A held-out prompt, and the completions of the data that others are compared with.</summary>
/// <param name="Ids">The prompt as the model reads it.</param>
/// <param name="Prompt">The prompt as a judge reads it.</param>
/// <param name="Chosen">The chosen completion.</param>
/// <param name="Rejected">The rejected one; null where there is none.</param>
internal sealed record HeldOutPrompt(IReadOnlyList<int> Ids, string Prompt, string Chosen, string? Rejected);

/// <summary>Prompts that models are to complete, and who judges that.</summary>
/// <param name="Name">What they are called: <c>held-out posts</c>.</param>
/// <param name="Prompts">The prompts, each once.</param>
/// <param name="Judge">The judge.</param>
internal sealed record PromptSet(string Name, IReadOnlyList<HeldOutPrompt> Prompts, SampleJudge Judge)
{
    /// <summary>What completions are compared with: a name, and the text for a prompt that has one.</summary>
    public IEnumerable<(string Name, Func<HeldOutPrompt, string?> Text)> Opponents
    {
        get
        {
            if (Judge.AgainstChosen)
                yield return ("the chosen ones", prompt => prompt.Chosen);
            if (Judge.AgainstRejected)
                yield return ("the rejected ones", prompt => prompt.Rejected);
        }
    }

    private bool HasOpponent => Opponents.Any(opponent => Prompts.Any(prompt => opponent.Text(prompt) is not null));

    /// <summary>The sets that models are to complete, and what is not measured and why.</summary>
    /// <param name="settings">What was asked for.</param>
    /// <param name="sets">The sets that there are; null for one that is held out of nothing.</param>
    public static (IReadOnlyList<PromptSet> Sets, IReadOnlyList<string> LeftOut) Measured(
        TrainingSettings settings, params IReadOnlyList<PromptSet?> sets)
    {
        if (settings.WinRates.Prompts == 0)
            return ([], ["Win rates: none were asked for (--win-rate-prompts 0)."]);
        if (sets.All(set => set is null))
            return ([], ["Win rates: they are of held-out prompts, and --train was given without --eval."]);
        PromptSet[] some = [.. sets.OfType<PromptSet>().Where(set => set.Prompts.Count > 0)];
        return (
            [.. some.Where(set => set.HasOpponent)],
            [
                .. sets.OfType<PromptSet>().Except(some).Select(set =>
                    $"Win rates of {set.Name}: none leaves room for {settings.NewTokens} tokens more; give a larger " +
                    "--max-length or a smaller --max-new-tokens."),
                .. some.Where(set => !set.HasOpponent).Select(set =>
                    $"Win rates of {set.Name}: the judge compares with rejected completions, and there are none; name another " +
                    "judge."),
                .. settings.WinRates.NotCompared,
            ]);
    }

    /// <summary>The first prompts of examples that have a chosen completion, and that leave a model room to go on.</summary>
    /// <param name="name">What they are called.</param>
    /// <param name="examples">The examples.</param>
    /// <param name="tokenizer">The model's.</param>
    /// <param name="settings">What was asked for.</param>
    /// <param name="judge">The judge.</param>
    public static PromptSet Of(
        string name, IEnumerable<PreferenceExample> examples, TextTokenizer tokenizer, TrainingSettings settings,
        SampleJudge judge)
    {
        var exampleTokenizer = new ExampleTokenizer(
            tokenizer, settings.MaxLength, settings.MaxPromptLength, settings.Truncation, settings.ChatTemplate);
        var report = new DataReport();
        var found = new Dictionary<string, HeldOutPrompt>();
        foreach (var example in examples)
        {
            if (found.Count == settings.WinRates.Prompts)
                break;
            if (Chosen(example) is not { } pair || exampleTokenizer.Tokenize(example, report) is not { } tokens)
                continue;
            string TextOf(int completion) => example.Conversation is null
                ? example.Completions[completion]
                : tokenizer.Decode(tokens.Completions[completion], skipSpecial: true);
            var prompt = example.Conversation is null ? example.Prompt : tokenizer.Decode(tokens.Prompt, skipSpecial: true);
            if (tokens.Prompt.Count + settings.NewTokens <= settings.MaxLength)
                found.TryAdd(
                    prompt,
                    new(tokens.Prompt, prompt, TextOf(pair.Chosen), pair.Rejected is { } rejected ? TextOf(rejected) : null));
        }
        return new PromptSet(name, [.. found.Values], judge);
    }

    private static (int Chosen, int? Rejected)? Chosen(PreferenceExample example) => example switch
    {
        { Ranking: [var best, .., var worst] } => (best, worst), // whose pairs stand in the order of the completions
        { Pairs: [var pair, ..] } => (pair.Chosen, pair.Rejected),
        { Labels: { } labels } when labels.Contains(true) => (labels.Index().First(label => label.Item).Index, null),
        { Labels: null, Completions.Count: 1 } => (0, null),
        _ => null,
    };
}
