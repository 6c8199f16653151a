using Dpo.Evaluation.Judging;

namespace Dpo.Evaluation.Tests.Judging;

public class JudgePromptTests
{
    public static TheoryData<string> Names => ["summary", "concise summary", "helpfulness", "news summary"];

    [Theory]
    [InlineData("Comparison: A says more.\nVerdict: A", Verdict.Win, "A says more.")]
    [InlineData("Comparison: B says more.\n\nVerdict: B\n", Verdict.Loss, "B says more.")]
    [InlineData("Comparison: no difference\r\nVerdict: tie\r\n", Verdict.Tie, "no difference")]
    [InlineData("**Comparison:** A is shorter.\n**Verdict:** **A**", Verdict.Win, "A is shorter.")]
    [InlineData("B is right: A is wrong.\nverdict: \"B\".", Verdict.Loss, "B is right: A is wrong.")]
    [InlineData("First.\nSecond.\nVerdict: <A>", Verdict.Win, "First.\nSecond.")]
    public void Reads_a_comparison_and_a_verdict(string answer, Verdict verdict, string explanation) =>
        Assert.Equal(new Judgement(verdict, explanation), Worths.Prompt.Read(answer));

    [Theory]
    [InlineData("")]
    [InlineData("A")]
    [InlineData("Verdict: A")]
    [InlineData("Comparison:\nVerdict: A")]
    [InlineData("A is better.\nA")]
    [InlineData("A is better.\nVerdict: A or B")]
    [InlineData("A is better.\nVerdict: both")]
    [InlineData("A is better.\nVerdict: a")]
    [InlineData("A is better.\nVerdict: Ask")]
    [InlineData("A is better.\nVerdict: A\nThank you for asking.")]
    [InlineData("Verdict: B\nOn second thoughts:\nVerdict: A")]
    [InlineData("I cannot judge these texts.")]
    [InlineData("A is better. Verdict: A")]
    public void Everything_else_is_no_verdict(string answer) => Assert.Null(Worths.Prompt.Read(answer));

    [Fact]
    public void A_tie_is_a_verdict_where_it_was_allowed()
    {
        const string Answer = "Comparison: no difference\nVerdict: tie";
        Assert.Null((Worths.Prompt with { AllowsTies = false }).Read(Answer));
        Assert.Contains("tie", Worths.Prompt.Write(new Comparison("", "", "")));
        Assert.DoesNotContain("tie", (Worths.Prompt with { AllowsTies = false }).Write(new Comparison("", "", "")));
    }

    [Fact]
    public void Texts_stand_in_their_places_as_they_are()
    {
        var prompt = new JudgePrompt("own", "P={prompt} A={first} B={second}");
        Assert.StartsWith("P={second} A=$0 {prompt} B={first}\n\nAnswer with these two lines", prompt.Write(new Comparison("{second}", "$0 {prompt}", "{first}")));
    }

    [Theory]
    [InlineData("{prompt} {first}", "{second}")]
    [InlineData("{prompt} {second}", "{first}")]
    [InlineData("{first} {second}", "{prompt}")]
    public void A_prompt_without_a_place_is_refused(string template, string missing) =>
        Assert.Contains($"'own' has no {missing}", Assert.Throws<ArgumentException>(() => new JudgePrompt("own", template)).Message);

    [Theory]
    [MemberData(nameof(Names))]
    public void The_paper_s_are_there_by_name_and_ask_for_a_choice(string name)
    {
        JudgePrompt[] all = [JudgePrompt.Summary, JudgePrompt.ConciseSummary, JudgePrompt.Helpfulness, JudgePrompt.NewsSummary];
        var prompt = all.Single(prompt => prompt.Name == name);
        var written = prompt.Write(new Comparison("the prompt", "the first", "the second"));
        Assert.Matches("(?s)the prompt.* A:\nthe first.* B:\nthe second.*Comparison: <.*Verdict: <A or B>$", written);
        Assert.False(prompt.AllowsTies);
    }
}
