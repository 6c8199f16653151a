using Dpo.Parquet;

namespace Dpo.Samples;

/// <summary>Reads and tokenizes preferences, and says what was dropped on the way.</summary>
internal static class Preferences
{
    /// <summary>The examples of a file of JSON Lines or a JSON array, or of Parquet files: one, a pattern or a folder. Null where
    /// none was named.</summary>
    public static IReadOnlyList<PreferenceExample>? Read(string? path, string name, IReadOnlyDictionary<string, string>? columns)
    {
        if (path is null)
            return null;
        var report = new DataReport();
        PreferenceExample[] examples = [.. IsParquet(path)
            ? PreferenceParquet.Read(path, report, columns: columns)
            : PreferenceFile.Read(path, report, columns: columns)];
        Terminal.Line($"The {name} data: {report}.");
        return examples;
    }

    /// <summary>The first generated examples whose prompts are not trained on, as many as win rates take; null where those are of
    /// files, or of nothing.</summary>
    public static IReadOnlyList<PreferenceExample>? Unseen(
        IEnumerable<PreferenceExample> generated, IEnumerable<PreferenceExample> training, TrainingSettings settings)
    {
        if (settings.Train is not null || settings.WinRates.Prompts == 0)
            return null;
        var seen = training.Select(example => example.Prompt).ToHashSet();
        return [.. generated.Where(example => seen.Add(example.Prompt)).Take(settings.WinRates.Prompts)];
    }

    /// <summary>Whether a path names Parquet files rather than JSON.</summary>
    public static bool IsParquet(string path) =>
        path.EndsWith(".parquet", StringComparison.OrdinalIgnoreCase) || Directory.Exists(path);

    /// <summary>Every text of the examples.</summary>
    public static IEnumerable<string> Texts(IEnumerable<PreferenceExample> examples) =>
        examples.SelectMany(example => example.Completions.Prepend(example.Prompt));

    /// <summary>The examples as token ids, truncated as the settings ask for.</summary>
    public static PreferenceData Tokenize(
        IEnumerable<PreferenceExample> examples, TextTokenizer tokenizer, TrainingSettings settings, string name) => Tokenize(
        examples,
        new ExampleTokenizer(tokenizer, settings.MaxLength, settings.MaxPromptLength, settings.Truncation, settings.ChatTemplate),
        name);

    /// <summary>The examples as token ids.</summary>
    public static PreferenceData Tokenize(
        IEnumerable<PreferenceExample> examples, ExampleTokenizer tokenizer, string name)
    {
        if (tokenizer.ChatTemplate is null && examples.FirstOrDefault(example => example.Conversation is not null) is { } chat)
            throw new InvalidInputException(
                $"{chat.Source}: the row holds the messages of a chat; name the chat template that the model was trained with " +
                "by --chat-template.");
        var report = new DataReport();
        var tokenized = new List<TokenizedExample>();
        foreach (var example in examples)
        {
            if (tokenizer.Tokenize(example, report) is { } kept)
                tokenized.Add(kept);
        }
        Terminal.Line($"The {name} data as tokens: {DataDescription.Of(tokenized, report)}");
        return new PreferenceData(tokenized);
    }
}
