namespace Dpo.Tests;

public class BatchPlacesTests
{
    private const int End = 9;

    private static BatchPlaces Places(int prompts, int samples, Action<GeneratedToken> onToken) => new(
        [.. Enumerable.Range(0, prompts).SelectMany(prompt => Enumerable.Range(0, samples).Select(sample =>
            new SampledSequence(prompt, sample, [0], new SamplingOptions { MaxNewTokens = 50, SamplesPerPrompt = samples }, [End], null, onToken)))], samples);

    private static bool Append(BatchPlaces places, params long[] ids) => places.Append(ids, [.. ids.Select(id => -0.5f * id)]);

    [Fact]
    public void Ranks_are_closed_where_that_halves_the_places()
    {
        var told = new List<(int Prompt, int Sample, int Token)>();
        var places = Places(prompts: 3, samples: 2, token => told.Add((token.PromptIndex, token.SampleIndex, token.Token)));
        Assert.True(Append(places, 1, 2, 3, 4, 5, End));
        Assert.Null(places.Compact());
        // Five places hold the five that go on only in rows of two for three prompts.
        Assert.True(Append(places, End, 1, 1, 1, 1, 1));
        Assert.Null(places.Compact());
        // One of each prompt's is left.
        Assert.True(Append(places, 1, 1, End, 1, 1, 1));
        var (prompts, kept) = places.Compact()!.Value;
        Assert.Equal([0, 1, 2], prompts);
        Assert.Equal([1, 3, 4], kept);

        told.Clear();
        Assert.True(Append(places, 6, 7, 8));
        Assert.Equal([(0, 1, 6), (1, 1, 7), (2, 0, 8)], told);
        Assert.True(Append(places, End, 1, End));
        (prompts, kept) = places.Compact()!.Value;
        Assert.Equal([1], prompts);
        Assert.Equal([1], kept);
        Assert.False(Append(places, End));
    }

    [Fact]
    public void A_prompt_with_fewer_left_computes_one_twice_and_tells_of_it_once()
    {
        var told = new List<(int Prompt, int Sample)>();
        var places = Places(prompts: 2, samples: 4, token => told.Add((token.PromptIndex, token.SampleIndex)));
        Assert.True(Append(places, End, 1, 1, End, End, End, End, 1));
        var (prompts, kept) = places.Compact()!.Value;
        Assert.Equal([0, 1], prompts);
        Assert.Equal([1, 2, 7, 7], kept);
        told.Clear();
        Assert.True(Append(places, 1, 1, 1, 1));
        Assert.Equal([(0, 1), (0, 2), (1, 3)], told);
    }
}
