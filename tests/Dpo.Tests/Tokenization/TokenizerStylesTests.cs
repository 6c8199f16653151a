using System.Text.Json.Nodes;
using CsCheck;

namespace Dpo.Tests;

/// <summary>The pipelines of well-known tokenizers, against Hugging Face's library (tests/Fixtures/tokenizer_styles).</summary>
public class TokenizerStylesTests
{
    public static TheoryData<string> Names => [.. TokenizerStyles.Names];

    [Theory]
    [MemberData(nameof(Names))]
    public void Every_text_has_hugging_faces_ids_and_decodes_as_there(string style)
    {
        var tokenizer = TokenizerStyles.Load(style);
        var cases = TokenizerStyles.Style(style)["cases"]!.AsArray();
        foreach (var @case in cases)
        {
            var text = (string)@case!["text"]!;
            var ids = Ids(@case["ids"]!);
            Equal(ids, tokenizer.Encode(text, allowSpecial: true), text);
            Equal(@case["plain_ids"] is { } plain ? Ids(plain) : ids, tokenizer.Encode(text), text);
            var decoded = (string?)@case["decoded"] ?? text;
            Assert.Equal(decoded, tokenizer.Decode(ids));
            Assert.Equal((string?)@case["decoded_skip_special"] ?? decoded, tokenizer.Decode(ids, skipSpecial: true));
        }
        Assert.True(cases.Count > 100);
    }

    [Theory]
    [MemberData(nameof(Names))]
    public void Any_ids_decode_as_with_hugging_face(string style)
    {
        var tokenizer = TokenizerStyles.Load(style);
        foreach (var @case in TokenizerStyles.Style(style)["decode_cases"]!.AsArray())
        {
            var ids = Ids(@case!["ids"]!);
            Assert.Equal((string)@case["decoded"]!, tokenizer.Decode(ids));
            Assert.Equal((string)@case["decoded_skip_special"]!, tokenizer.Decode(ids, skipSpecial: true));
        }
    }

    [Theory]
    [MemberData(nameof(Names))]
    public void Text_of_every_plane_comes_back_as_the_normalizer_left_it(string style)
    {
        var tokenizer = TokenizerStyles.Load(style);
        var composes = (TokenizerStyles.TokenizerJson(style)["normalizer"]?.ToJsonString() ?? "").Contains("NFC", StringComparison.Ordinal);
        // What a style does to spaces: puts one in front, takes one away, or knows no difference to its mark.
        var adds = style == "prefix_space";
        var marks = tokenizer.Decode(tokenizer.Encode("\u2581x")) != "\u2581x";
        // A word that spells a byte is that byte to this one, as to Hugging Face's.
        var spellsBytes = style == "fallback_ignore_merges";
        TextGen.Any.Where(text => !spellsBytes || !text.Contains("<0x41>", StringComparison.Ordinal)).Sample(
            text =>
            {
                // Added tokens are what they are before normalization and stop marks from moving across them.
                var whole = composes ? CanonicalComposition.Normalize(text) : text;
                var ids = tokenizer.Encode(text);
                Assert.DoesNotContain(ids, id => id == tokenizer.EndOfTextId);
                var decoded = tokenizer.Decode(ids);
                if (marks)
                    Assert.Equal(whole.Replace('\u2581', ' ').TrimStart(' '), decoded.Replace('\u2581', ' ').TrimStart(' '));
                else
                    Assert.Equal(adds && whole.Length > 0 && !whole.StartsWith(' ') ? " " + whole : whole, decoded);
            },
            iter: 300);
    }

    [Theory]
    [MemberData(nameof(Names))]
    public void Half_a_surrogate_pair_is_encoded_as_the_replacement_character(string style)
    {
        var tokenizer = TokenizerStyles.Load(style);
        TextGen.WithHalves.Sample(
            text => Assert.Equal(tokenizer.Encode(string.Concat(text.EnumerateRunes())), tokenizer.Encode(text)), iter: 100);
    }

    [Theory]
    [InlineData("llama2", true)]
    [InlineData("mistral", true)]
    [InlineData("metaspace_always", true)]
    [InlineData("prefix_space", true)]
    [InlineData("gemma", false)]
    [InlineData("llama3", false)]
    public void A_text_that_continues_another_gets_nothing_in_front(string style, bool marked)
    {
        var tokenizer = TokenizerStyles.Load(style);
        var continued = tokenizer.Encode("Hi", continues: true);
        Assert.Equal("Hi", tokenizer.Decode(continued));
        Assert.Equal(!marked, tokenizer.Encode("Hi").SequenceEqual(continued));
        // Only where the text begins: behind an added token nothing changes.
        Assert.Equal(tokenizer.Encode("<tok>Hi"), tokenizer.Encode("<tok>Hi", continues: true));
    }

    private static int[] Ids(JsonNode ids) => [.. ids.AsArray().Select(id => (int)id!)];

    private static void Equal(int[] expected, IReadOnlyList<int> actual, string text) =>
        Assert.True(expected.SequenceEqual(actual), $"'{text}': expected {string.Join(' ', expected)}, got {string.Join(' ', actual)}");
}
