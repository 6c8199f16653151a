using System.Collections;

namespace Dpo.Tests;

/// <summary>Counts how often an example is read.</summary>
internal sealed class CountedExamples(IExampleSource inner) : IExampleSource
{
    /// <summary>Data of a file whose examples are counted.</summary>
    public static (PreferenceData Data, CountedExamples Reads) Open(string path)
    {
        var counted = new CountedExamples(new TokenizedExampleFile(path));
        return (new PreferenceData(counted), counted);
    }

    public int Reads { get; private set; }

    public int Count => inner.Count;

    public bool IsInMemory => inner.IsInMemory;

    public IEnumerable<ExampleSummary> Summaries => inner.Summaries;

    public DataDigest Digest => inner.Digest;

    public TrainingExample this[int index]
    {
        get
        {
            Reads++;
            return inner[index];
        }
    }

    public IEnumerator<TrainingExample> GetEnumerator() => Enumerable.Range(0, Count).Select(index => this[index]).GetEnumerator();

    IEnumerator IEnumerable.GetEnumerator() => GetEnumerator();

    public void Dispose() => inner.Dispose();
}
