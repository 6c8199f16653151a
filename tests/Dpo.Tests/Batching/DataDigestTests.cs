namespace Dpo.Tests;

/// <summary>A run does not go on with other data: whatever is trained on is part of the digest, and nothing else.</summary>
public class DataDigestTests
{
    private static readonly TrainingExample example = new([1, 2], [[3], [4, 5], [6]], [new(0, 1)])
    {
        Ranking = [1, 0],
        Scores = [0.5f, -1],
        Labels = [true, false],
        ReferenceLogProbs = [[-1], [-2, -3], [-4]],
        MismatchedCount = 1,
        Source = "train.jsonl:1",
    };

    private static string Of(params TrainingExample[] examples) => DataDigest.Of(examples).All;

    public static TheoryData<string, object> Changes => new()
    {
        { "a token of the prompt", example with { Prompt = [1, 3] } },
        { "a token of a completion", example with { Completions = [[3], [4, 5], [7]] } },
        { "a token moved to the next completion", example with { Completions = [[3, 4], [5], [6]] } },
        { "a pair", example with { Pairs = [new(1, 0)] } },
        { "a pair less", example with { Pairs = [] } },
        { "the ranking", example with { Ranking = [0, 1] } },
        { "no ranking", example with { Ranking = null } },
        { "a score", example with { Scores = [0.5f, -1.0000001f] } },
        { "no scores", example with { Scores = null } },
        { "no scores, but none missing", example with { Scores = [] } },
        { "a label", example with { Labels = [true, true] } },
        { "no labels", example with { Labels = null } },
        { "no labels, but none missing", example with { Labels = [] } },
        { "a reference value", example with { ReferenceLogProbs = [[-1], [-2, -3], [-4.0000005f]] } },
        { "no reference values", example with { ReferenceLogProbs = null } },
        { "how many completions are of other prompts", example with { MismatchedCount = 0 } },
    };

    [Theory]
    [MemberData(nameof(Changes))]
    public void Whatever_is_trained_on_counts(string change, object changed)
    {
        var other = (TrainingExample)changed;
        Assert.True(Of(example) != Of(other), change);
        Assert.NotEqual(Of(example, example), Of(example, other));
        Assert.NotEqual(Of(other, example), Of(example, other));
    }

    [Fact]
    public void Where_an_example_came_from_does_not_count_and_how_many_there_are_does()
    {
        Assert.Equal(Of(example), Of(example with { Source = null }));
        Assert.NotEqual(Of(example), Of(example, example));
    }

    /// <summary>Computed apart. Checkpoints and files of reference log-probabilities keep it: another digest of the same data would refuse them all.</summary>
    [Fact]
    public void The_digest_of_given_data_stays_what_it_was() =>
        Assert.Equal(("e5c15686da7edcd0799b71ca2923da72333262cebb6797a7014d67693a2dc5aa", "c2fb94c5672a179efa060a663100cf7fa4a65c991dd579fe0112248396754bfc"), (DataDigest.Of([example]).All, DataDigest.Of([example]).Tokens));
}
