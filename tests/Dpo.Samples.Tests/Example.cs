namespace Dpo.Samples.Tests;

internal static class Example
{
    /// <summary>All that is trained on; records do not compare their lists by content.</summary>
    public static (string Prompt, string Chosen, string Rejected) Text(PreferenceExample example)
    {
        Assert.Equal(2, example.Completions.Count);
        Assert.Equal([new PreferencePair(0, 1)], example.Pairs);
        return (example.Prompt, example.Completions[0], example.Completions[1]);
    }

    /// <summary>The completions by themselves, chosen ones as favourable.</summary>
    public static IEnumerable<Review> Labelled(IReadOnlyList<PreferenceExample> examples) => examples.SelectMany(
        example => example.Completions.Select((completion, i) => new Review(completion, i == 0, example.Source!)));
}
