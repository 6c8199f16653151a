using Dpo.Data;

namespace Dpo.Batching;

/// <summary>Counts what <see cref="DataDescription"/> says of examples, one after another; some bytes are kept of each.</summary>
internal sealed class DataTally
{
    private readonly HashSet<UInt128> prompts = [];
    private readonly HashSet<UInt128> seen = [];

    /// <summary>How often each pair occurs: the hashes of prompt, chosen and rejected completion.</summary>
    private readonly Dictionary<(UInt128 Prompt, UInt128 Chosen, UInt128 Rejected), int> pairs = [];

    public int Examples { get; private set; }

    public int Prompts => prompts.Count;

    public int Completions { get; private set; }

    public int Pairs { get; private set; }

    /// <summary>Lengths, and how often each occurs.</summary>
    public SortedDictionary<int, int> PromptLengths { get; } = [];

    public SortedDictionary<int, int> ChosenLengths { get; } = [];

    public SortedDictionary<int, int> RejectedLengths { get; } = [];

    /// <summary>Pairs whose chosen completion is the longer one.</summary>
    public int ChosenLonger { get; private set; }

    public int Duplicates { get; private set; }

    /// <summary>Adds an example.</summary>
    public void Add(TrainingExample example)
    {
        var own = example.Completions.SkipLast(example.MismatchedCount).ToArray();
        Examples++;
        Completions += own.Length;
        Pairs += example.Pairs.Count;
        AddLengths(example, own);
        AddHashes(example, own);
    }

    /// <summary>Pairs that another one contradicts.</summary>
    public int ContradictoryPairs() => pairs
        .Where(pair => pair.Key.Chosen != pair.Key.Rejected
            && pairs.ContainsKey((pair.Key.Prompt, pair.Key.Rejected, pair.Key.Chosen)))
        .Sum(pair => pair.Value);

    private void AddLengths(TrainingExample example, IReadOnlyList<int>[] own)
    {
        Count(PromptLengths, example.Prompt);
        foreach (var (chosen, rejected) in example.Pairs)
        {
            Count(ChosenLengths, own[chosen]);
            Count(RejectedLengths, own[rejected]);
            ChosenLonger += own[chosen].Count > own[rejected].Count ? 1 : 0;
        }
        foreach (var (index, label) in (example.Labels ?? []).Index())
            Count(label ? ChosenLengths : RejectedLengths, own[index]);

        static void Count(SortedDictionary<int, int> lengths, IReadOnlyList<int> ids) =>
            lengths[ids.Count] = lengths.GetValueOrDefault(ids.Count) + 1;
    }

    private void AddHashes(TrainingExample example, IReadOnlyList<int>[] own)
    {
        var same = new PreferenceExample(Text(example.Prompt), [.. own.Select(Text)], example.Pairs)
        {
            Ranking = example.Ranking,
            Scores = example.Scores,
            Labels = example.Labels,
        };
        var prompt = ContentHash.Of(same.Prompt);
        prompts.Add(prompt);
        var isNew = seen.Add(ContentHash.Of(same));
        Duplicates += isNew ? 0 : 1;
        UInt128[] hashes = [.. same.Completions.Select(text => ContentHash.Of(text))];
        foreach (var (chosen, rejected) in example.Pairs)
        {
            var key = (prompt, hashes[chosen], hashes[rejected]);
            pairs[key] = pairs.GetValueOrDefault(key) + 1;
        }
    }

    /// <summary>Ids make texts too.</summary>
    private static string Text(IReadOnlyList<int> ids) => string.Create(2 * ids.Count, ids, static (text, ids) =>
    {
        for (var index = 0; index < ids.Count; index++)
            (text[2 * index], text[2 * index + 1]) = ((char)ids[index], (char)(ids[index] >> 16));
    });
}
