// Rows, columns and chats of a researcher's own, by one who sees the packages alone: out of JSON Lines, and out of Parquet.
using System.Text.Json;
using Dpo.Parquet;
using ParquetSharp;

var failures = 0;
void Expect<T>(string what, IEnumerable<T> expected, IEnumerable<T> actual)
{
    if (expected.SequenceEqual(actual))
        return;
    failures++;
    Console.Error.WriteLine($"{what}: {string.Join(" | ", actual)}\nexpected: {string.Join(" | ", expected)}");
}

// The third row lacks a field, the second has too few votes.
File.WriteAllLines("votes.jsonl",
[
    """{"post": "The film was", "best": " a delight.", "worst": " a bore.", "votes": 7}""",
    """{"post": "The plot was", "best": " clever.", "worst": " thin.", "votes": 2}""",
    """{"post": "The cast was", "best": " good.", "votes": 5}""",
    """{"post": "The end was", "best": " moving.", "worst": " silly.", "votes": 3}""",
]);
Table("votes.parquet", ["post", "best", "worst"],
    ["The film was", "The plot was", "The cast was", "The end was"], [" a delight.", " clever.", " good.", " moving."],
    [" a bore.", " thin.", null, " silly."], [7, 2, 5, 3]);

static PreferenceExample Voted(JsonElement row)
{
    var votes = row.GetProperty("votes").GetInt32();
    string Text(string name) => row.GetProperty(name).GetString()!;
    return votes < 3
        ? throw new BadRowException("fewer than 3 votes")
        : new PreferenceExample(Text("post"), Text("best"), Text("worst")) { Scores = [votes, 0] };
}

// A row is an example, or counts as dropped with its reason, once however often it is gone through.
foreach (var file in (string[])["votes.jsonl", "votes.parquet"])
{
    IEnumerable<PreferenceExample> Read(DataReport report, BadRows badRows) => file.EndsWith(".jsonl", StringComparison.Ordinal)
        ? PreferenceJsonLines.Read(file, report, Voted, badRows)
        : PreferenceParquet.Read(file, report, Voted, badRows);

    var report = new DataReport();
    var examples = Read(report, BadRows.Skip);
    foreach (var round in (string[])["first", "second"])
    {
        Expect($"{file}, {round} time",
            [$"{file}:1: The film was| a delight.| a bore.|7", $"{file}:4: The end was| moving.| silly.|3"],
            examples.Select(example => $"{example.Source}: {example.Prompt}|{string.Join('|', example.Completions)}|{example.Scores![0]}"));
    }
    Expect(file,
        [$"read 4 rows; used 2; dropped 1: a field that is missing or of another kind ({file}:3); dropped 1: fewer than 3 votes ({file}:2)"],
        [report.ToString()]);
    Expect($"{file}, refused", [$"{file}:2: fewer than 3 votes; correct the row, or let bad rows be skipped."],
        [Refusal(() => Read(new DataReport(), BadRows.Refuse).Count())]);
}

// Columns by their names; two of them make the prompt.
File.WriteAllLines("fragen.jsonl",
[
    """{"Thema": "Film", "Frage": "War er gut?", "gut": " Ja, sehr.", "schlecht": " Weiß nicht."}""",
    """{"Thema": "Buch", "Frage": "War es lang?", "gut": " Nein.", "schlecht": " Nein."}""",
]);
Table("fragen.parquet", ["Thema", "Frage", "gut", "schlecht"],
    ["Film", "Buch"], ["War er gut?", "War es lang?"], [" Ja, sehr.", " Nein."], [" Weiß nicht.", " Nein."]);
var columns = new Dictionary<string, string> { ["prompt"] = "Thema+Frage", ["chosen"] = "gut", ["rejected"] = "schlecht" };
foreach (var file in (string[])["fragen.jsonl", "fragen.parquet"])
{
    IEnumerable<PreferenceExample> Read(DataReport report, Dictionary<string, string> names) => file.EndsWith(".jsonl", StringComparison.Ordinal)
        ? PreferenceFile.Read(file, report, columns: names)
        : PreferenceParquet.Read(file, report, columns: names);

    var report = new DataReport();
    Expect(file, ["Film\nWar er gut?| Ja, sehr.| Weiß nicht."],
        Read(report, columns).Select(example => $"{example.Prompt}|{string.Join('|', example.Completions)}"));
    Expect(file, [$"read 2 rows; used 1; dropped 1: identical completions ({file}:2)"], [report.ToString()]);
    Expect($"{file}, a column that it lacks", [true],
        [Refusal(() => Read(new(), new(columns) { ["rejected"] = "mies" }).Count()).Contains("no row has anything in the column 'mies', which was named")
            || Refusal(() => Read(new(), new(columns) { ["rejected"] = "mies" }).Count()).Contains("the file has no column 'mies', which was named")]);
    Expect($"{file}, a field that no form has", [true],
        [Refusal(() => Read(new(), new() { ["Antwort"] = "gut" }).Count()).StartsWith(
            "The columns' names say what 'Antwort' is called, but rows have no such field; they have 'prompt', 'chosen', ", StringComparison.Ordinal)]);
}

// A chat format of one's own, and what the tokenizer makes of it: what stands between the marks stays text.
var tokenizer = TextTokenizer.Train(File.ReadLines("votes.jsonl"), vocabularySize: 280);
var (end, special) = (tokenizer.EndOfTextId, tokenizer.Decode([tokenizer.EndOfTextId]));
File.WriteAllLines("chats.jsonl",
[
    JsonSerializer.Serialize(new { prompt = Said("user", $"  The film? {special} "), chosen = Said("assistant", " good. "), rejected = Said("assistant", "bad.") }),
    JsonSerializer.Serialize(new { prompt = Said("system", "Be brief."), chosen = Said("assistant", "good."), rejected = Said("assistant", "bad.") }),
    JsonSerializer.Serialize(new { prompt = Said("user", "The plot?"), chosen = Said("assistant", "thin."), rejected = Said("assistant", " thin. ") }),
]);
var template = new ChatTemplate("Film club")
{
    Roles = ["user", "assistant"],
    Beginning = [ChatSegment.OfText("# ")],
    Header = role => [ChatSegment.OfText(role == "user" ? "you: " : "club: ")],
    Content = text => text.Trim(),
    End = [ChatSegment.Special(special), ChatSegment.OfText("\n")],
};
var chats = new DataReport();
var tokenized = new ExampleTokenizer(tokenizer, chatTemplate: template).Tokenize(PreferenceFile.Read("chats.jsonl", chats), chats).ToList();
Expect("chats", ["chats.jsonl:1"], tokenized.Select(example => example.Source));
Expect("a chat's prompt",
    [.. tokenizer.Encode($"# you: The film? {special}"), end, .. tokenizer.Encode("\nclub: ")], tokenized[0].Prompt);
Expect("a chat's chosen answer", [.. tokenizer.Encode("good."), end, .. tokenizer.Encode("\n")], tokenized[0].Completions[0]);
Expect("a chat's rejected answer", [.. tokenizer.Encode("bad."), end, .. tokenizer.Encode("\n")], tokenized[0].Completions[1]);
Expect("chats",
    ["read 3 rows; used 1; dropped 1: a role that the chat template has no place for (chats.jsonl:2); " +
        "dropped 1: identical completions as tokens (chats.jsonl:3)"], [chats.ToString()]);

// Of examples that are tokenized one after another, those that are dropped are left out, and reported.
var strict = new ExampleTokenizer(tokenizer, maxLength: 12, truncation: Truncation.Drop);
var lengths = new DataReport();
PreferenceExample[] made =
[
    new("It is", " so.", " not."), new("", " so.", " not."), new("It is", " so.", " not so, but long beyond any measure."), new("It", " is.", " was."),
];
Expect("examples made in code", [(tokenizer.Encode("It is").Count, 2), (tokenizer.Encode("It").Count, 2)],
    strict.Tokenize(made, lengths).Select(example => (example.Prompt.Count, example.Completions.Count)));
Expect("examples made in code", ["read 4 rows; used 2; dropped 1: completion too long; dropped 1: empty prompt"], [lengths.ToString()]);

if (failures == 0)
    Console.WriteLine("rows, columns, chats: as they are");
return failures == 0 ? 0 : 1;

static object[] Said(string role, string content) => [new { role, content }];

static string Refusal(Action read)
{
    try
    {
        read();
        return "not refused";
    }
    catch (InvalidInputException e)
    {
        return e.Message;
    }
}

static void Table(string path, string[] names, params object?[][] values)
{
    var columns = names.Select(Column (name) => new Column<string?>(name)).Concat(values.Length > names.Length ? [new Column<int>("votes")] : []);
    using var file = new ParquetFileWriter(path, [.. columns]);
    using var group = file.AppendRowGroup();
    foreach (var (index, column) in values.Index())
    {
        if (index < names.Length)
            using (var writer = group.NextColumn().LogicalWriter<string?>())
                writer.WriteBatch([.. column.Cast<string?>()]);
        else
            using (var writer = group.NextColumn().LogicalWriter<int>())
                writer.WriteBatch([.. column.Cast<int>()]);
    }
    file.Close();
}
