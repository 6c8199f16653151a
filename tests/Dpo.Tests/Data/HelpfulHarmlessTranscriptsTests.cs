using System.Text.Json;
using CsCheck;

namespace Dpo.Tests;

public class HelpfulHarmlessTranscriptsTests
{
    private const string Turn = "\n\nHuman: one\n\nAssistant: first\n\nHuman: two\n\nAssistant:";

    [Fact]
    public void The_prompt_ends_at_the_last_assistant_turn()
    {
        var (examples, _) = Read((Turn + " yes", Turn + " no"));
        Assert.Equal(Turn, examples[0].Prompt);
        Assert.Equal([" yes", " no"], examples[0].Completions);
        Assert.Equal("hh.jsonl:1", examples[0].Source);
    }

    [Fact]
    public void Each_way_in_which_two_transcripts_cannot_be_compared_has_its_reason()
    {
        var (examples, report) = Read(
            (Turn + " yes", "\n\nHuman: other\n\nAssistant: no"),
            (Turn + " yes", Turn[..^1]),
            ("\n\nHuman: hello", "\n\nHuman: hello"),
            (Turn + " same", Turn + " same"),
            (Turn + " yes", Turn + " "),
            (Turn + " yes", Turn + " no\n\nHuman: and?\n\nAssistant: more"),
            (Turn + " yes\n\nHuman: and?\n\nAssistant: more", Turn + " no"),
            (Turn + " yes", Turn + " a moment\n\nAssistant: no"));
        Assert.Equal([" yes", " a moment\n\nAssistant: no"], Assert.Single(examples).Completions);
        Assert.Equal(
            "read 8 rows; used 1; dropped 1: empty completion (hh.jsonl:5); dropped 1: identical completions (hh.jsonl:4); " +
            "dropped 3: mismatched prefixes (hh.jsonl:1, hh.jsonl:2, hh.jsonl:7); dropped 1: no Assistant turn (hh.jsonl:3); " +
            "dropped 1: rejected goes on to another turn (hh.jsonl:6)",
            report.ToString());
    }

    [Fact]
    public void Any_dialogue_is_split_where_it_was_joined_also_where_one_answer_begins_the_other()
    {
        var word = Gen.String[Gen.Char["ab :\n"], 1, 6].Where(text => !string.IsNullOrWhiteSpace(text));
        var turns = word.List[1, 4].Select(words => string.Concat(words.Select(w => $"\n\nHuman: {w}\n\nAssistant: {w}")));
        Gen.Select(turns, word, word, Gen.Bool).Sample((history, chosen, more, longer) =>
        {
            var prompt = history + "\n\nHuman: last\n\nAssistant:";
            var rejected = chosen + more;
            var (first, second) = longer ? (rejected, chosen) : (chosen, rejected);
            var (examples, _) = Read((prompt + first, prompt + second));
            Assert.Equal(prompt, examples[0].Prompt);
            Assert.Equal([first, second], examples[0].Completions);
        }, iter: 200);
    }

    [SharedFact("data/hh/helpful-base-test.jsonl.gz")]
    public void The_real_test_split_has_the_counted_rows()
    {
        var path = Fixture.Shared("data", "hh", "helpful-base-test.jsonl.gz")!;
        var report = new DataReport();
        var examples = HelpfulHarmlessTranscripts.Read(path, report).ToList();
        const string file = "helpful-base-test.jsonl.gz";
        Assert.Equal(
            $"read 2,354 rows; used 2,346; dropped 4: empty completion ({file}:121, {file}:741, {file}:1215, {file}:2064); " +
            $"dropped 2: identical completions ({file}:722, {file}:2169); dropped 2: mismatched prefixes ({file}:568, {file}:1167)",
            report.ToString());
        Assert.All(examples, example => Assert.EndsWith("\n\nAssistant:", example.Prompt, StringComparison.Ordinal));
        Assert.Equal(7, examples.Count(example => example.Completions[1].Contains("\n\nAssistant:", StringComparison.Ordinal)));
        Assert.DoesNotContain(examples, example => example.Completions[0].Contains("\n\nAssistant:", StringComparison.Ordinal));
    }

    private static (List<PreferenceExample> Examples, DataReport Report) Read(params (string Chosen, string Rejected)[] rows)
    {
        using var folder = new TemporaryFolder();
        var lines = rows.Select(row => JsonSerializer.Serialize(new { chosen = row.Chosen, rejected = row.Rejected }));
        var report = new DataReport();
        return (HelpfulHarmlessTranscripts.Read(folder.Write("hh.jsonl", string.Join('\n', lines)), report).ToList(), report);
    }
}
