
namespace Dpo.Batching;

/// <summary>Examples in order, and what can be said of them without reading them: what batches are planned from and runs are
/// checked by.</summary>
internal interface IExampleSource : IReadOnlyList<TrainingExample>, IDisposable
{
    /// <summary>Every example's summary, in order.</summary>
    public IEnumerable<ExampleSummary> Summaries { get; }

    /// <summary>What the examples are known by.</summary>
    public DataDigest Digest { get; }

    /// <summary>Whether the examples are held in memory. Others are read each time they are asked for, and what is made of them
    /// is not to be held in memory either.</summary>
    public bool IsInMemory { get; }
}
