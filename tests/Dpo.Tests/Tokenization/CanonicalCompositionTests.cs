using System.Text.Json;
using CsCheck;

namespace Dpo.Tests;

public class CanonicalCompositionTests
{
    [Fact]
    public void Recorded_texts_have_pythons_normalization_form()
    {
        using var recorded = JsonDocument.Parse(File.ReadAllText(Fixture.Path("tokenizer_styles", "nfc_cases.json")));
        foreach (var @case in recorded.RootElement.GetProperty("cases").EnumerateArray())
            Assert.Equal(@case[1].GetString(), CanonicalComposition.Normalize(@case[0].GetString()!));
        Assert.Equal(400, recorded.RootElement.GetProperty("cases").GetArrayLength());
    }

    [Theory]
    [InlineData("e\u0301", "\u00e9")]
    [InlineData("\u212b", "\u00c5")]
    [InlineData("q\u0307\u0323", "q\u0323\u0307")]
    [InlineData("\u1100\u1161\u11a8", "\uac01")]
    [InlineData("\u0344", "\u0308\u0301")]
    [InlineData("\u0958", "\u0915\u093c")]
    [InlineData("\ufb01", "\ufb01")]
    [InlineData("a\u0300\u0301", "\u00e0\u0301")]
    [InlineData("\U0001d15e", "\U0001d157\U0001d165")]
    public void By_hand(string text, string expected) => Assert.Equal(expected, CanonicalComposition.Normalize(text));

    [Fact]
    public void It_is_idempotent() => TextGen.Any.Sample(text =>
    {
        var normalized = CanonicalComposition.Normalize(text);
        Assert.Equal(normalized, CanonicalComposition.Normalize(normalized));
    });
}
