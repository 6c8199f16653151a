using System.Collections;

namespace Dpo.Batching;

/// <summary>Examples in memory.</summary>
internal sealed class ExampleList(IReadOnlyList<TrainingExample> examples) : IExampleSource
{
    public int Count => examples.Count;

    public bool IsInMemory => true;

    public IEnumerable<ExampleSummary> Summaries => examples.Select(ExampleSummary.Of);

    public DataDigest Digest => DataDigest.Of(examples);

    public TrainingExample this[int index] => examples[index];

    public IEnumerator<TrainingExample> GetEnumerator() => examples.GetEnumerator();

    IEnumerator IEnumerable.GetEnumerator() => GetEnumerator();

    public void Dispose()
    {
    }
}
