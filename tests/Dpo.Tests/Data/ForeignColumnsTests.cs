namespace Dpo.Tests;

/// <summary>Rows whose columns are called other than those of the formats.</summary>
public sealed class ForeignColumnsTests : IDisposable
{
    private const string System = """{"role": "system", "content": "s"}""";
    private const string User = """{"role": "user", "content": "q"}""";
    private const string Good = """{"role": "assistant", "content": "good"}""";
    private const string Bad = """{"role": "assistant", "content": "bad"}""";

    private readonly TemporaryFolder folder = new();

    public void Dispose() => folder.Dispose();

    [Theory]
    // Intel's Orca, with and without a system prompt; Alpaca's, with and without an input; Argilla's.
    [InlineData("""{"system": "You answer briefly.", "question": "What is two plus two?", "chosen": "The sum is 4.", "rejected": "The sum is 5."}""",
        "You answer briefly.\nWhat is two plus two?", "The sum is 4.")]
    [InlineData("""{"system": "", "question": "Name a colour.", "chosen": "Blue is one.", "rejected": "Seven."}""", "Name a colour.", "Blue is one.")]
    [InlineData("""{"instruction": "Translate to French.", "input": "cat", "chosen": "chat", "rejected": "chien"}""", "Translate to French.\ncat", "chat")]
    [InlineData("""{"instruction": "Add 1 and 1.", "input": null, "chosen": "It is 2", "rejected": "It is 3"}""", "Add 1 and 1.", "It is 2")]
    [InlineData("""{"instruction": "Add 1 and 1.", "chosen_response": "It is 2", "rejected_response": "It is 3"}""", "Add 1 and 1.", "It is 2")]
    [InlineData("""{"system": "s", "input": "i", "chosen": "ab", "rejected": "ac"}""", "s\ni", "ab")]
    [InlineData("""{"query": "q", "chosen": "ab", "rejected": "ac"}""", "q", "ab")]
    [InlineData("""{"system": "s", "prompt": "p", "chosen": "ab", "rejected": "ac"}""", "s\np", "ab")]
    [InlineData("""{"system": 3, "prompt": "p", "question": "q", "chosen": "ab", "rejected": "ac"}""", "p", "ab")]
    [InlineData("""{"question": "q", "completion": "a", "label": true}""", "q", "a")]
    [InlineData("""{"instruction": "i", "completions": ["a", "b"], "scores": [2, 1]}""", "i", "a")]
    // The prompt is in both already.
    [InlineData("""{"question": "q? ", "chosen": "q? ab", "rejected": "q? ac"}""", "q? a", "b")]
    public void The_spellings_of_well_known_sets_are_known(string row, string prompt, string completion)
    {
        var example = Assert.Single(PreferenceFile.Read(folder.Write("train.jsonl", row), new DataReport(), BadRows.Refuse));
        Assert.Equal((prompt, completion), (example.Prompt, example.Completions[0]));
    }

    [Fact]
    public void What_the_system_says_goes_before_a_chat()
    {
        PreferenceExample Read(string row) => Assert.Single(PreferenceFile.Read(folder.Write("chat.jsonl", row), new DataReport(), BadRows.Refuse));
        Assert.Equal(
            [new("system", "s"), new("user", "q")],
            Read($$"""{"system": "s", "prompt": [{{User}}], "chosen": [{{Good}}], "rejected": [{{Bad}}]}""").Conversation!.Prompt);
        Assert.Equal(
            [new("system", "s"), new("user", "q")],
            Read($$"""{"system": "other", "prompt": [{{System}}, {{User}}], "chosen": [{{Good}}], "rejected": [{{Bad}}]}""").Conversation!.Prompt);
        Assert.Equal(
            [new("system", "s"), new("user", "q")],
            Read($$"""{"system": "s", "question": "q", "chosen": [{{System}}, {{User}}, {{Good}}], "rejected": [{{System}}, {{User}}, {{Bad}}]}""").Conversation!.Prompt);
    }

    [Theory]
    [InlineData("""{"Frage": "Was ist zwei plus zwei?", "chosen": "Die Summe ist 4.", "rejected": "Die Summe ist 5."}""", "Frage")]
    [InlineData("""{"user_prompt": "Hi", "chosen": "ab", "rejected": "ac"}""", "user_prompt")]
    [InlineData("""{"userQuery": "Hi", "chosen": "ab", "rejected": "ac"}""", "userQuery")]
    [InlineData("""{"history": ["Hi"], "chosen": "ab", "rejected": "ac"}""", "history")]
    [InlineData("""{"messages": [{"role": "user", "content": "q"}], "chosen": "ab", "rejected": "ac"}""", "messages")]
    [InlineData("""{"system": "Be brief", "chosen": "ab", "rejected": "ac"}""", "system")]
    [InlineData($$"""{"topic": "x", "Anfrage": "q r", "chosen": [{{System}}, {{Good}}], "rejected": [{{System}}, {{Bad}}]}""", "Anfrage")]
    public void A_row_whose_unknown_column_may_be_the_prompt_is_not_trained_on_as_if_it_had_none(string row, string column)
    {
        var path = folder.Write("train.jsonl", row);
        var report = new DataReport();
        Assert.Empty(PreferenceFile.Read(path, report));
        var reason = $"no field 'prompt', but '{column}' may be it (name the column, prompt={column}; or prompt= where rows have no prompt of their own)";
        Assert.Equal($"read 1 rows; used 0; dropped 1: {reason} (train.jsonl:1)", report.ToString());
        var e = Assert.Throws<InvalidInputException>(() => PreferenceFile.Read(path, report, BadRows.Refuse).ToList());
        Assert.Equal($"{path}:1: {reason}; correct the row, or let bad rows be skipped.", e.Message);
    }

    [Fact]
    public void Earlier_turns_beside_the_prompt_are_not_lost_in_silence()
    {
        const string row = """{"instruction": "And 2?", "history": [["1?", "One."]], "chosen": "Two.", "rejected": "Three."}""";
        var path = folder.Write("train.jsonl", $"{row}\n{row.Replace("[[\"1?\", \"One.\"]]", "[]", StringComparison.Ordinal)}\n");
        var report = new DataReport();
        Assert.Equal("And 2?", Assert.Single(PreferenceFile.Read(path, report)).Prompt);
        Assert.Equal(
            "read 2 rows; used 1; dropped 1: 'history' holds earlier turns, which are not read (give chats as lists of messages, or name the prompt's column) (train.jsonl:1)",
            report.ToString());
        Assert.Equal(2, PreferenceFile.Read(path, report, BadRows.Refuse, new Dictionary<string, string> { ["prompt"] = "instruction" }).Count());
    }

    [Theory]
    [InlineData("""{"prompt_id": "a b c", "source": "of old", "model": "a b", "reason": "it is better", "n": 3, "chosen": "Why? b", "rejected": "Why? c"}""")]
    [InlineData("""{"Frage": "Why?", "x": "", "lang": "de", "chosen": "Why? b", "rejected": "Why? c"}""")]
    public void Columns_that_say_something_else_are_no_matter(string row) =>
        Assert.Equal("Why?", Assert.Single(PreferenceFile.Read(folder.Write("train.jsonl", row), new DataReport(), BadRows.Refuse)).Prompt);

    [Fact]
    public void Columns_are_named()
    {
        List<PreferenceExample> Read(string row, params (string Field, string Column)[] columns) => [.. PreferenceFile.Read(
            folder.Write("train.jsonl", row), new DataReport(), BadRows.Refuse, columns.ToDictionary(column => column.Field, column => column.Column))];

        var pair = Assert.Single(Read("""{"Frage": "f", "gut": "a", "schlecht": "b", "s1": 2, "s2": 1, "prompt": "x"}""",
            ("prompt", "Frage"), ("chosen", "gut"), ("rejected", "schlecht"), ("score_chosen", "s1"), ("score_rejected", "s2")));
        Assert.Equal(("f", "a", "b"), (pair.Prompt, pair.Completions[0], pair.Completions[1]));
        Assert.Equal([2f, 1f], pair.Scores);
        Assert.Equal("f\ng", Assert.Single(Read("""{"system": "s", "a": "f", "b": "g", "c": "x", "chosen": "a", "rejected": "b"}""", ("prompt", "a+b"))).Prompt);
        // A row may do without a part that others have.
        Assert.Equal(["f", "f\ng"], Read(
            """
            {"a": "f", "chosen": "a", "rejected": "b"}
            {"a": "f", "b": "g", "chosen": "a", "rejected": "b"}
            """, ("prompt", "a+b")).Select(example => example.Prompt));
        Assert.Equal([true], Assert.Single(Read("""{"prompt": "p", "text": "a", "good": 1}""", ("completion", "text"), ("label", "good"))).Labels);
        var chat = Assert.Single(Read($$"""{"turns": [{{User}}], "chosen": [{{Good}}], "rejected": [{{Bad}}]}""", ("prompt", "turns")));
        Assert.Equal("q", chat.Conversation!.Prompt[0].Content);
        // No prompt, and no score, whatever there is.
        var none = Assert.Single(Read("""{"question": "why not", "score_chosen": "x", "chosen": "xa", "rejected": "xb"}""", ("prompt", ""), ("score_chosen", "")));
        Assert.Equal(("x", (IReadOnlyList<float>?)null), (none.Prompt, none.Scores));
        var review = Assert.Single(ReviewFile.Read(
            folder.Write("reviews.jsonl", """{"review": "fine", "sentiment": 1.0}"""), new DataReport(), BadRows.Refuse,
            new Dictionary<string, string> { ["text"] = "review", ["label"] = "sentiment" }));
        Assert.Equal(("fine", true), (review.Text, review.Positive));
        Assert.Equal("f", Assert.Single(PreferenceJsonLines.Read(
            folder.Write("train.jsonl", """{"f": "f", "chosen": "a", "rejected": "b"}"""), new DataReport(), columns: new Dictionary<string, string> { ["prompt"] = "f" })).Prompt);
    }

    [Fact]
    public void A_column_that_is_named_must_be_there_and_a_field_one_of_the_formats()
    {
        var path = folder.Write("train.jsonl", """{"question": "q", "chosen": "a", "rejected": "b", "score_chosen": null}""");
        var report = new DataReport();
        foreach (var (field, column, missing) in ((string, string, string)[])
            [("prompt", "frage", "frage"), ("prompt", "question+frage", "frage"), ("score_chosen", "score_chosen", "score_chosen")])
        {
            Assert.Equal(
                $"{path}: no row has anything in the column '{missing}', which was named; the first row has 'question', 'chosen', 'rejected', 'score_chosen'.",
                Assert.Throws<InvalidInputException>(() => PreferenceFile.Read(path, report, columns: new Dictionary<string, string> { [field] = column }).ToList()).Message);
        }
        var e = Assert.Throws<InvalidInputException>(() => PreferenceFile.Read(path, report, columns: new Dictionary<string, string> { ["promt"] = "question" }));
        Assert.StartsWith("The columns' names say what 'promt' is called, but rows have no such field; they have 'prompt', 'chosen', ", e.Message, StringComparison.Ordinal);
    }

    /// <summary>Else rows of JSON Lines would have it, and those of Parquet, of which the formats' columns alone are read, would not.</summary>
    [Fact]
    public void A_parser_can_ask_for_no_field_that_no_format_says_it_has()
    {
        foreach (var columns in (ColumnNames[])[ColumnNames.OfPreferences(null), ColumnNames.OfReviews(null)])
            Assert.StartsWith("No format has 'votes' among its Fields; add it there.", Assert.Throws<ArgumentException>(() => columns.Of("votes")).Message, StringComparison.Ordinal);
        Assert.Equal(
            ["prompt", "chosen", "rejected", "score_chosen", "score_rejected", "margin", "completions", "ranking", "scores", "completion", "label", "info", "summaries", "choice", "input_text", "candidate_0", "candidate_1"],
            ColumnNames.OfPreferences(null).Among([.. PreferenceJsonLines.Fields, "votes", .. SummaryComparisons.Fields]));
    }
}
