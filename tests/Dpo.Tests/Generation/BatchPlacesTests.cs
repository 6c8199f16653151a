namespace Dpo.Tests;

public class BatchPlacesTests
{
    private static readonly PromptInCache Prompt = new(0, [1], 0, null!);

    private static SampledSequence[] Sequences(int first, int count) =>
        [.. Enumerable.Range(first, count).Select(sample => new SampledSequence(Prompt, sample, new SamplingOptions { SamplesPerPrompt = 100 }, [], null, null))];

    private static IEnumerable<long?> Numbers(BatchPlaces places) => places.Sequences.Select(sequence => sequence?.Index);

    [Fact]
    public void Sequences_that_begin_fill_gaps_and_then_what_is_behind_them()
    {
        var places = new BatchPlaces(6);
        Assert.Equal(6, places.Free);
        var (begun, moves) = places.CloseRanks(Sequences(0, 4));
        Assert.Equal([0, 1, 2, 3], begun);
        Assert.Empty(moves);
        places.End(1);
        places.End(2);
        Assert.Equal([0, null, null, 3], Numbers(places));
        Assert.Equal(4, places.Free);
        (begun, moves) = places.CloseRanks(Sequences(4, 3));
        Assert.Equal([1, 2, 4], begun);
        Assert.Empty(moves);
        Assert.Equal([0, 4, 5, 3, 6], Numbers(places));
        Assert.Equal(1, places.Free);
    }

    [Fact]
    public void Gaps_that_nothing_begins_in_are_filled_from_the_end()
    {
        var places = new BatchPlaces(8);
        places.CloseRanks(Sequences(0, 8));
        foreach (var place in (int[])[0, 2, 3, 6])
            places.End(place);
        var (begun, moves) = places.CloseRanks(Sequences(8, 1));
        Assert.Equal([0], begun);
        Assert.Equal([(7, 2), (5, 3)], moves);
        Assert.Equal([8, 1, 7, 5, 4], Numbers(places));

        places.End(3);
        places.End(4);
        (begun, moves) = places.CloseRanks([]);
        Assert.Empty(begun);
        Assert.Empty(moves);
        Assert.Equal([8, 1, 7], Numbers(places));
        for (var place = 0; place < 3; place++)
            places.End(place);
        places.CloseRanks([]);
        Assert.Empty(places.Sequences);
    }
}
