namespace Dpo.Samples.Tests;

/// <summary>Judges that know what was generated.</summary>
public class KnownFactsTests
{
    /// <summary>The post says: uncle, late parties, only laughs, should I move out.</summary>
    [Theory]
    [InlineData(" I am tired of the late parties of my uncle, who only laughs; should I move out?", 4)]
    [InlineData("MY UNCLE only   laughs! Late-parties... should I move out", 4)]
    [InlineData(" I am tired of the late parties of my uncle, who only laughs.", 3)]
    [InlineData(" I am tired of the late parties of my aunt, who only laughs; should I move out?", 2)]
    [InlineData(" I am tired of the late parties of my uncle, who stopped speaking to me; should I ask him to leave?", 0)]
    [InlineData(" My sister borrowed my tent and lost it; should I ask her to pay?", -4)]
    [InlineData(" Something happened and I do not know what to do.", 0)]
    [InlineData("", 0)]
    [InlineData(" my uncle uncle uncle", 1)]
    public void Of_a_post_facts_count_for_a_summary_and_others_against_it(string summary, double expected) =>
        Assert.Equal(expected, PostCorpus.Facts.Score(PostCorpus.Generate(1, 17).Single().Prompt, summary));

    [Fact]
    public void Chosen_summaries_say_all_and_rejected_ones_less()
    {
        foreach (var example in PostCorpus.Generate(300, 3))
        {
            Assert.Equal(4, PostCorpus.Facts.Score(example.Prompt, example.Completions[0]));
            Assert.True(PostCorpus.Facts.Score(example.Prompt, example.Completions[1]) <= 2, example.Completions[1]);
        }
        foreach (var example in NewsCorpus.Generate(300, 3))
        {
            Assert.Equal(3, NewsCorpus.Facts.Score(example.Prompt, example.Completions[0]));
            Assert.Equal(-1, NewsCorpus.Facts.Score(example.Prompt, example.Completions[1])); // the person, and two other facts
        }
    }

    /// <summary>What was asked last is how to learn French; before that it was about tomatoes.</summary>
    [Theory]
    [InlineData(" Learn ten new words every day. Find somebody to speak French with.", 2)]
    [InlineData(" Good question. Learn ten new words every day.", 1)]
    [InlineData(" Learn ten new words every day. Learn ten new words every day.", 1)]
    [InlineData(" Tie the plants to a strong stick.", -1)]
    [InlineData(" I am not sure. Maybe somebody else knows.", -2)]
    [InlineData(" Everybody knows about French. Learn ten new words every day.", 0)]
    [InlineData(" Good question.", 0)]
    public void Of_a_dialogue_advice_on_what_was_asked_counts(string answer, double expected) =>
        Assert.Equal(expected, DialogueCorpus.Facts.Score(DialogueCorpus.Generate(1, 17).Single().Prompt, answer));

    [Fact]
    public void Chosen_answers_help_and_rejected_ones_do_not()
    {
        var scores = DialogueCorpus.Generate(500, 3)
            .Select(example => example.Completions.Select(text => DialogueCorpus.Facts.Score(example.Prompt, text)).ToArray()).ToArray();
        Assert.All(scores, pair => Assert.True(pair is [1 or 2, -1 or -2]));
    }
}
