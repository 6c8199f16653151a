namespace Dpo.Baselines.Tests;

public class FewShotPromptTests
{
    private const string Template = "Post: {prompt}\nTL;DR:{completion}\n\n";

    [Fact]
    public void Shots_stand_in_front_as_the_template_says()
    {
        var ask = new FewShotPrompt(Template, [("one {completion}", " 1"), ("two", " 2")]);
        Assert.Equal("Post: one {completion}\nTL;DR: 1\n\nPost: two\nTL;DR: 2\n\nPost: three\nTL;DR:", ask.Render("three"));
        Assert.Equal("\n\n", ask.End);
        Assert.Equal("Post: three\nTL;DR:", new FewShotPrompt(Template).Render("three"));
    }

    [Theory]
    [InlineData("{prompt}")]
    [InlineData("{completion} {prompt}")]
    [InlineData("{prompt} {completion}")]
    [InlineData("{prompt} {prompt} {completion}.")]
    [InlineData("{prompt} {completion} {completion}.")]
    public void A_template_that_cannot_be_filled_in_is_refused(string template) =>
        Assert.Throws<ArgumentException>(() => new FewShotPrompt(template));
}
