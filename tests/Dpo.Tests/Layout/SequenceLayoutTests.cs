namespace Dpo.Tests;

public class SequenceLayoutTests
{
    [Fact]
    public void Completions_continue_from_the_prompt_and_share_its_last_row()
    {
        var layout = new SequenceLayout([new(3, [3, 2]), new(1, [1])]);
        Assert.Equal([0, 1, 2, 3, 4, 3, 0], layout.Positions);
        Assert.Equal([2, 3, 4, 5, 6], layout.PredictingRows);
        Assert.Equal([0, 1, 2, 0, 3, 4], layout.PredictionOfToken);
        Assert.Equal([0, 3, 5, 6], layout.CompletionOffsets);
        Assert.Equal((7, 3, 6, 1), (layout.RowCount, layout.CompletionCount, layout.RowsOf(0), layout.RowsOf(1)));
    }

    [Theory]
    [InlineData(0, 1)]
    [InlineData(1, 0)]
    public void Lengths_below_one_are_refused(int prompt, int completion) =>
        Assert.Throws<ArgumentException>(() => new SequenceLayout([new(prompt, [2, completion])]));

    [Fact]
    public void Padded_sequences_repeat_the_prompt()
    {
        var padded = new PaddedLayout(new SequenceLayout([new(2, [3, 1]), new(1, [2])]));
        // Rows: 0 1 prompt, 2 3 first completion's, none of the second's; 4 prompt, 5 completion.
        Assert.Equal((3, 4), (padded.Count, padded.Length));
        Assert.Equal([0, 1, 2, 3, 0, 1, 0, 0, 4, 5, 0, 0], padded.RowOfFlat);
        Assert.Equal([0, 1, 2, 3, 8, 9], padded.FlatOfRow);
    }
}
