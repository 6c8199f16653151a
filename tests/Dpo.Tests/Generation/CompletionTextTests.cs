using CsCheck;

namespace Dpo.Tests;

public class CompletionTextTests
{
    private static readonly TextTokenizer Tokenizer = TextTokenizer.Load(Fixture.Path("tokenizer"));

    /// <summary>What is told token by token, and the text at the end.</summary>
    private static (List<string> Pieces, string Text, int Tokens) Read(IReadOnlyList<int> ids, params string[] stops)
    {
        var text = new CompletionText(Tokenizer, stops);
        var pieces = new List<string>();
        for (var count = 1; ; count++)
        {
            text.Read([.. ids.Take(count)]);
            pieces.Add(text.TakeCertain(isOver: count == ids.Count));
            if (text.IsStopped || count == ids.Count)
                return (pieces, text.Value, count);
        }
    }

    /// <summary>A token for every byte: every stop string straddles tokens, and so does every character beyond ASCII.</summary>
    private static int[] Bytes(string text)
    {
        var ids = Enumerable.Range(0, Tokenizer.VocabularySize).ToLookup(id => Tokenizer.Decode([id]));
        var ofByte = System.Text.Encoding.UTF8.GetBytes(text).Select(value => value < 128
            ? ids[((char)value).ToString()].First()
            : throw new ArgumentException("ASCII only."));
        return [.. ofByte];
    }

    [Fact]
    public void A_stop_string_may_straddle_tokens()
    {
        var (pieces, text, tokens) = Read(Bytes("Yes.\n\nHuman: why"), "\n\nHuman:");
        Assert.Equal("Yes.", text);
        Assert.Equal(12, tokens);
        // Nothing of what may begin a stop string is told of.
        Assert.Equal(["Y", "e", "s", ".", .. Enumerable.Repeat("", 8)], pieces);
    }

    [Fact]
    public void What_only_began_like_a_stop_string_is_told_later()
    {
        var (pieces, text, _) = Read(Bytes("aab\nc"), "aabb", "\n\n");
        Assert.Equal("aab\nc", text);
        Assert.Equal(["", "", "", "aab", "\nc"], pieces);
    }

    [Fact]
    public void The_first_of_several_stop_strings_counts()
    {
        var ids = Tokenizer.Encode("one two three");
        Assert.Equal("one ", Read(ids, "three", "two").Text);
        Assert.Equal("one", Read(ids, "two", " t").Text);
        Assert.Equal("", Read(ids, "one").Text);
    }

    [Fact]
    public void Cut_characters_are_told_whole_and_special_tokens_not_at_all()
    {
        var ids = Tokenizer.Encode("é€😀!");
        Assert.True(ids.Count > 4, "The tokenizer has these characters as tokens.");
        var (pieces, text, _) = Read([.. ids, Tokenizer.EndOfTextId]);
        Assert.Equal("é€😀!", text);
        Assert.All(pieces, piece => Assert.DoesNotContain('\uFFFD', piece));
        // A character that is never completed shows at the end.
        Assert.Equal("é€\uFFFD", Read([.. Tokenizer.Encode("é€"), ids[^2]]).Text);
    }

    [Fact]
    public void Pieces_together_are_the_text_up_to_the_first_stop_string() =>
        Gen.Select(Gen.String[Gen.Char["ab\né😀"], 0, 30], Gen.String[Gen.Char["ab\né"], 1, 3].Array[0, 3]).Sample((plain, stops) =>
        {
            var ids = Tokenizer.Encode(plain);
            if (ids.Count == 0)
                return;
            plain = Tokenizer.Decode(ids);
            var (pieces, text, tokens) = Read(ids, stops);
            Assert.Equal(text, string.Concat(pieces));
            var starts = stops.Select(stop => plain.IndexOf(stop, StringComparison.Ordinal)).Where(start => start >= 0).ToArray();
            Assert.Equal(starts.Length == 0, tokens == ids.Count && text == plain);
            Assert.StartsWith(text, plain, StringComparison.Ordinal);
            Assert.All(stops, stop => Assert.DoesNotContain(stop, text, StringComparison.Ordinal));
            // It ended no later than necessary: without the last token there was no stop string.
            Assert.All(stops, stop => Assert.DoesNotContain(stop, Tokenizer.Decode(ids.Take(tokens - 1)), StringComparison.Ordinal));
        }, iter: 2000, threads: 1);

    public static TheoryData<string> Styles => [.. TokenizerStyles.Names];

    /// <summary>Ids of all kinds in any order: parts of characters, bytes that are none, special tokens, ids without a token.</summary>
    [Theory]
    [MemberData(nameof(Styles))]
    public void Read_token_by_token_it_is_what_all_tokens_together_decode_to(string style)
    {
        var tokenizer = TokenizerStyles.Load(style);
        var anything = Gen.Int[0, tokenizer.VocabularySize + 3].Array[1, 30];
        var texts = TextGen.Any.Select(text => tokenizer.Encode(text).Append(tokenizer.EndOfTextId).ToArray());
        Gen.OneOf(anything, texts).Sample(ids =>
        {
            var text = new CompletionText(tokenizer, ["no such text"]);
            var told = "";
            for (var count = 1; count <= ids.Length; count++)
            {
                text.Read(ids[..count]);
                Assert.Equal(tokenizer.Decode(ids[..count], skipSpecial: true), text.Value);
                told += text.TakeCertain(isOver: count == ids.Length);
            }
            Assert.Equal(text.Value, told);
        }, iter: 300, threads: 1);
    }

    [Theory]
    [InlineData("gpt2")]
    [InlineData("llama2")]
    public void A_token_costs_the_same_wherever_it_stands(string style)
    {
        var tokenizer = TokenizerStyles.Load(style);
        int[] ids = [.. Enumerable.Repeat(tokenizer.Encode("the \u65E5 x\n"), 5000).SelectMany(ids => ids)];
        long Allocated(int tokens)
        {
            var text = new CompletionText(tokenizer, ["no such text"]);
            var list = new List<int>();
            var before = GC.GetAllocatedBytesForCurrentThread();
            foreach (var id in ids.Take(tokens))
            {
                list.Add(id);
                text.Read(list);
                text.TakeCertain(isOver: false);
            }
            return GC.GetAllocatedBytesForCurrentThread() - before;
        }
        Allocated(100);
        Assert.InRange(Allocated(20_000), 0, 12 * Allocated(2000));
    }

    [Fact]
    public void Sampling_text_ends_at_stop_strings_and_tells_the_text()
    {
        using var model = CausalLanguageModel.Load(Fixture.Path("models", "gpt2"));
        var options = new SamplingOptions { MaxNewTokens = 40, SamplesPerPrompt = 30, EndOfTextIds = [.. Enumerable.Range(300, 8)], Seed = 4 };
        string[] prompts = ["The film", "Once upon a time there was"];
        var whole = Sampler.Sample(model, Tokenizer, prompts, options);
        Assert.All(whole, generation => Assert.Equal(Tokenizer.Decode(generation.Tokens, skipSpecial: true), generation.Text));
        Assert.Contains(whole, generation => generation.StopReason == StopReason.EndOfText);

        // A stop string that some texts hold across a border of tokens: the end of one and the beginning of the next.
        var ofFirst = whole[0].Tokens.Select(id => Tokenizer.Decode([id])).ToArray();
        var stop = ofFirst.Zip(ofFirst.Skip(1), (one, next) => one[^1..] + next[..1]).First(border => border.All(char.IsAsciiLetter));
        var told = new Dictionary<(int, int), string>();
        var stopped = Sampler.Sample(model, Tokenizer, prompts, options with { StopStrings = [stop] }, token =>
            told[(token.PromptIndex, token.SampleIndex)] = told.GetValueOrDefault((token.PromptIndex, token.SampleIndex), "") + token.Text);
        Assert.Contains(stopped, generation => generation.StopReason == StopReason.StopString && !Tokenizer.Decode([generation.Tokens[^1]]).Contains(stop, StringComparison.Ordinal));
        foreach (var (full, cut) in whole.Zip(stopped))
        {
            var at = full.Text!.IndexOf(stop, StringComparison.Ordinal);
            Assert.Equal(at < 0 ? full.Text : full.Text[..at], cut.Text);
            Assert.Equal(full.Tokens.Take(cut.Tokens.Count), cut.Tokens);
            Assert.Equal(at < 0 ? full.StopReason : StopReason.StopString, cut.StopReason);
            Assert.Equal(cut.Text, told[(cut.PromptIndex, cut.SampleIndex)]);
            Assert.Equal(cut.StopReason == StopReason.StopString, Tokenizer.Decode(cut.Tokens).Contains(stop, StringComparison.Ordinal));
        }
    }
}
