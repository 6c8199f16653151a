using Dpo.Baselines;

namespace Dpo.Benchmarks;

/// <summary>
/// trlx's task of random walks, made here: 21 nodes with few edges, of which one is the goal; from a node to the goal by the shortest path is
/// worth 1. Walks that go where chance takes them are what a model is fine-tuned on; how far it comes beyond them is what methods are
/// compared by. A node's token is its number.
/// </summary>
internal sealed class RandomWalkTask
{
    public const int Goal = 0, Nodes = 21, Length = 10;

    private const double EdgeProbability = 0.1;

    private readonly bool[,] edges = new bool[Nodes, Nodes];
    private readonly int[] shortest = new int[Nodes];

    public RandomWalkTask(int seed)
    {
        var random = new Random(seed);
        // Graphs whose goal cannot be reached from everywhere in time are drawn again.
        do
        {
            for (var from = 0; from < Nodes; from++)
            {
                for (var to = 0; to < Nodes; to++)
                    edges[from, to] = from != to && from != Goal && random.NextDouble() < EdgeProbability;
            }
            MeasureShortest();
        }
        while (shortest.Any(nodes => nodes > Length));

        Walks = [.. Enumerable.Range(0, 1000).Select(_ => Walk(random))];
    }

    /// <summary>1,000 walks, each with the node it begins at.</summary>
    public IReadOnlyList<int[]> Walks { get; }

    /// <summary>Every node but the goal, as a prompt.</summary>
    public static IReadOnlyList<IReadOnlyList<int>> Starts { get; } = [.. Enumerable.Range(1, Nodes - 1).Select(node => (int[])[node])];

    /// <summary>(10 − n) / (10 − shortest) for a path of n nodes that reaches the goal; 0 for one that does not, or leaves the edges.</summary>
    public float Optimality(Answer answer)
    {
        var (at, start) = (answer.PromptIds[0], answer.PromptIds[0]);
        for (var step = 0; step < answer.Ids.Count; step++)
        {
            if (!edges[at, answer.Ids[step]])
                return 0;
            at = answer.Ids[step];
            if (at == Goal)
                return (Length - (step + 2f)) / (Length - shortest[start]);
        }
        return 0;
    }

    /// <summary>The nodes of the shortest path from each to the goal, both ends counted; more than <see cref="Length"/> where there is none.
    /// </summary>
    private void MeasureShortest()
    {
        Array.Fill(shortest, int.MaxValue);
        shortest[Goal] = 1;
        for (var nodes = 2; nodes < Length; nodes++)
        {
            for (var from = 0; from < Nodes; from++)
            {
                if (shortest[from] > nodes && Enumerable.Range(0, Nodes).Any(to => edges[from, to] && shortest[to] == nodes - 1))
                    shortest[from] = nodes;
            }
        }
    }

    private int[] Walk(Random random)
    {
        var walk = new List<int> { random.Next(1, Nodes) };
        while (walk[^1] != Goal && walk.Count < Length)
        {
            int[] next = [.. Enumerable.Range(0, Nodes).Where(to => edges[walk[^1], to])];
            walk.Add(next[random.Next(next.Length)]);
        }
        return [.. walk];
    }
}
