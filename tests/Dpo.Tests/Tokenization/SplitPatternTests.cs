using System.Text.RegularExpressions;
using CsCheck;

namespace Dpo.Tests;

public class SplitPatternTests
{
    private const string Llama3 =
        @"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+";

    [Theory]
    [InlineData(Llama3)]
    [InlineData(SplitPattern.Gpt2)]
    [InlineData(@"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{M}]*[\p{Ll}\p{M}]+(?:'s|'t)?|\d{2,}|[a-c\-^\]]{2}| ?\p{P}+(?=x)|\P{L}")]
    public void Within_the_basic_plane_it_finds_what_nets_regular_expressions_find(string pattern)
    {
        var expected = new Regex(pattern);
        var split = SplitPatternParser.Parse(pattern);
        // The long s and the Kelvin sign are s and k to Unicode's case folding, not to .NET's.
        var piece = Gen.OneOf(
            Gen.OneOf(" ", "\n", "\r", "\t", "\u00A0", "\u3000", "\u0085", "'", "'RE", "'s", "S", "x", "abc", "7", "123", "½", "!", "é", "日", "\u0301", "]", "-", "^"),
            Gen.Char.Where(c => !char.IsSurrogate(c) && c is not ('\u017F' or '\u212A')).Select(c => c.ToString()));
        piece.List[0, 20].Select(string.Concat).Sample(text => Assert.Equal(
            expected.Matches(text).Select(match => (match.Index, match.Index + match.Length)),
            split.Cut(text.AsMemory()).Where(cut => cut.IsMatch).Select(cut => (cut.Start, cut.End))));
    }

    [Fact]
    public void A_cut_is_the_whole_text_in_order()
    {
        var split = SplitPatternParser.Parse("b+|(?i:k)");
        Assert.Equal(
            [(0, 1, false), (1, 3, true), (3, 4, false), (4, 5, true), (5, 6, true), (6, 7, false)],
            split.Cut("abbc\u212AKd".AsMemory()));
        Assert.Empty(split.Cut("".AsMemory()));
    }

    [Fact]
    public void Characters_outside_the_basic_plane_are_taken_and_given_back_whole()
    {
        const string Text = "\U00020001\U00020002\U00020003\U00020000x\U00020003";
        string[] Cut(string pattern) => [.. SplitPatternParser.Parse(pattern).Cut(Text.AsMemory()).Select(cut => Text[cut.Start..cut.End])];
        Assert.Equal(["\U00020001\U00020002\U00020003", "\U00020000x\U00020003"], Cut(@"\p{Lo}+(?=\p{Lo})"));
        Assert.Equal(["\U00020001\U00020002", "\U00020003\U00020000", "x\U00020003"], Cut(@"\p{L}{2}|x"));
        Assert.Equal(["\U00020001\U00020002\U00020003", "\U00020000", "x\U00020003"], Cut("[\U00020000-\U00020000]"));
    }

    [Fact]
    public void Possessive_repetition_gives_nothing_back()
    {
        Assert.Single(SplitPatternParser.Parse("a+ab").Cut("aaab".AsMemory()));
        Assert.DoesNotContain(SplitPatternParser.Parse("a++ab").Cut("aaab".AsMemory()), cut => cut.IsMatch);
    }

    [Fact]
    public void A_long_text_needs_no_deep_stack()
    {
        var text = new string(' ', 1_000_000) + new string('x', 1_000_000);
        Assert.Equal([(0, 999_999, true), (999_999, 2_000_000, true)], SplitPatternParser.Parse(Llama3).Cut(text.AsMemory()));
    }

    [Theory]
    [InlineData("", "it is empty")]
    [InlineData("a(b)", "'(b)' at character 1 is not implemented")]
    [InlineData("(?<n>b)", "'(?<n>b)' at character 0 is not implemented")]
    [InlineData("(?:a", "'(?:a' at character 0 is not implemented")]
    [InlineData("a)", "')' at character 1 is not implemented")]
    [InlineData("(?:a)+", "'+' at character 5 is not implemented")]
    [InlineData("(?!a)?", "'?' at character 5 is not implemented")]
    [InlineData("a+?", "'?' at character 2 is not implemented")]
    [InlineData("a{2}+", "'+' at character 4 is not implemented")]
    [InlineData("a{2,1}", "'{2,1}' at character 1 is not implemented")]
    [InlineData("a{,3}", "'{,3}' at character 1 is not implemented")]
    [InlineData("^a", "'^a' at character 0 is not implemented")]
    [InlineData("a$", "'$' at character 1 is not implemented")]
    [InlineData(".", "'.' at character 0 is not implemented")]
    [InlineData(@"\w+", @"'\w+' at character 0 is not implemented")]
    [InlineData(@"a\b", @"'\b' at character 1 is not implemented")]
    [InlineData(@"\p{Han}", @"'\p{Han}' at character 0 is not implemented")]
    [InlineData(@"\p{L", @"'\p{L' at character 0 is not implemented")]
    [InlineData("\\", "'\\' at character 0 is not implemented")]
    [InlineData("[a", "'[a' at character 0 is not implemented")]
    [InlineData("[]", "'[]' at character 0 is not implemented")]
    [InlineData("[a&&b]", "'&&b]' at character 2 is not implemented")]
    [InlineData("[[:alpha:]]", "'[:alpha:]]' at character 1 is not implemented")]
    [InlineData(@"[^\S]", @"'\S]' at character 2 is not implemented")]
    [InlineData("[z-a]", "'z-a]' at character 1 is not implemented")]
    [InlineData("(?i:é)", "')' at character 5 is not implemented")]
    public void What_is_not_implemented_is_refused_by_place(string pattern, string expected) =>
        Assert.Equal(expected, Assert.Throws<FormatException>(() => SplitPatternParser.Parse(pattern)).Message);

    [Fact]
    public void Groups_without_end_are_refused() =>
        Assert.Throws<FormatException>(() => SplitPatternParser.Parse(string.Concat(Enumerable.Repeat("(?:", 100_000))));

    [Fact]
    public void Groups_are_nested_as_deep_as_patterns_need_and_no_deeper()
    {
        static string Nested(int depth) => string.Concat(Enumerable.Repeat("(?:", depth)) + "a" + new string(')', depth);
        Assert.Equal([(0, 1, false), (1, 2, true)], SplitPatternParser.Parse(Nested(31)).Cut("ba".AsMemory()));
        Assert.Equal(
            "'a)))))))))))' at character 96 is not implemented",
            Assert.Throws<FormatException>(() => SplitPatternParser.Parse(Nested(32))).Message);
    }
}
