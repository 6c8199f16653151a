using System.Text.Json.Nodes;
using CsCheck;

namespace Dpo.Tests;

public class BpeTrainerTests
{
    // Id 0 is the end of text; byte b has the id b + 1.
    private static int Byte(char c) => c + 1;

    [Fact]
    public void The_most_frequent_pair_is_joined_first_and_ties_go_to_the_lower_ids()
    {
        // "abab ab" has the words "abab" and " ab": a+b occurs 3 times; then ab+ab and " "+ab once each, too seldom.
        var first = TextTokenizer.Train(["abab ab"], 1000);
        Assert.Equal(258, first.VocabularySize);
        Assert.Equal([257, 257, Byte(' '), 257], first.Encode("abab ab"));

        // "cd" and "xy" occur twice each, and c comes before x.
        var tied = TextTokenizer.Train(["xy", "xy", "cd", "cd"], 258);
        Assert.Equal([257], tied.Encode("cd"));
        Assert.Equal([Byte('x'), Byte('y')], tied.Encode("xy"));

        // "aaa" three times over: a+a occurs at both places, the left one is joined.
        var overlapping = TextTokenizer.Train(["aaa", "aaa", "aaa"], 1000);
        Assert.Equal([258], overlapping.Encode("aaa"));
        Assert.Equal([257, Byte('a')], TextTokenizer.Train(["aaa", "aaa", "aaa"], 258).Encode("aaa"));
    }

    [Fact]
    public void Words_are_never_joined_across_their_boundary()
    {
        var tokenizer = TextTokenizer.Train(Enumerable.Repeat("a.b", 10), 300);
        Assert.Equal(257, tokenizer.VocabularySize);
    }

    [Fact]
    public void The_end_of_text_token_is_never_learnt_from_text()
    {
        var tokenizer = TextTokenizer.Train(Enumerable.Repeat("|>|>|> <|endoftext|> endoftext", 50), 400);
        var ids = tokenizer.Encode("<|endoftext|>");
        Assert.DoesNotContain(tokenizer.EndOfTextId, ids);
        Assert.Equal("<|endoftext|>", tokenizer.Decode(ids));
        Assert.Equal([0], tokenizer.Encode("<|endoftext|>", allowSpecial: true));
    }

    [Fact]
    public void The_corpus_round_trips_and_the_saved_files_load_to_the_same_tokenizer()
    {
        Gen.String[0, 40].List[0, 20].Select(list => list.Select(WithoutLoneSurrogates).ToList()).Sample(
            texts =>
            {
                var trained = TextTokenizer.Train(texts, 270);
                using var folder = new TemporaryFolder();
                trained.Save(folder.Path);
                var loaded = TextTokenizer.Load(folder.Path);
                Assert.Equal(trained.VocabularySize, loaded.VocabularySize);
                Assert.Equal(0, loaded.EndOfTextId);
                foreach (var text in texts)
                {
                    Assert.Equal(text, trained.Decode(trained.Encode(text)));
                    Assert.Equal(trained.Encode(text), loaded.Encode(text));
                }
            },
            iter: 50);
    }

    [Fact]
    public void The_order_of_the_texts_does_not_matter()
    {
        string[] texts = ["the cat sat", "on the mat", "the hat that the cat had"];
        using var first = new TemporaryFolder();
        using var second = new TemporaryFolder();
        TextTokenizer.Train(texts, 280).Save(first.Path);
        TextTokenizer.Train(texts.Reverse(), 280).Save(second.Path);
        Assert.Equal(
            File.ReadAllBytes(Path.Combine(first.Path, "tokenizer.json")), File.ReadAllBytes(Path.Combine(second.Path, "tokenizer.json")));
    }

    [Fact]
    public void Words_short_and_long_are_merged_as_the_definition_says()
    {
        // Byte pair encoding by its definition: join the pair of the lowest rank, everywhere, until none is left.
        var root = JsonNode.Parse(File.ReadAllText(Fixture.Path("tokenizer", "tokenizer.json")))!["model"]!;
        var ranks = root["merges"]!.AsArray().Index().ToDictionary(m => ((string)m.Item![0]!, (string)m.Item[1]!), m => m.Index);
        var tokenizer = TextTokenizer.Load(Fixture.Path("tokenizer"));
        Gen.OneOf("th", "e", "n", "in", "g", "l", "ou", "r", "s", "t", "a", "ed").List[0, 70].Select(string.Concat).Sample(word =>
        {
            var parts = word.Select(c => c.ToString()).ToList();
            while (parts.Zip(parts.Skip(1)).Where(ranks.ContainsKey).OrderBy(pair => ranks[pair]).FirstOrDefault() is { First: not null } best)
            {
                for (var i = 0; i + 1 < parts.Count; i++)
                {
                    if ((parts[i], parts[i + 1]) != best)
                        continue;
                    parts[i] += parts[i + 1];
                    parts.RemoveAt(i + 1);
                }
            }
            Assert.Equal(parts.Select(part => (int)root["vocab"]![part]!), tokenizer.Encode(word));
        });
    }

    [Fact]
    public void A_vocabulary_without_room_for_the_bytes_is_refused() =>
        Assert.Throws<ArgumentOutOfRangeException>(() => TextTokenizer.Train(["a"], 256));

    private static string WithoutLoneSurrogates(string text) => string.Concat(text.EnumerateRunes());
}
