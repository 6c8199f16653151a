using System.Collections;
using Dpo.Batching;

namespace Dpo.Training.Reference;

/// <summary>Examples with the reference log-probabilities of a file, which are read with each example.</summary>
internal sealed class ReferencedExamples : IExampleSource
{
    private readonly IExampleSource examples;
    private readonly ReferenceLogProbsFile file;
    private readonly long[] firstValues;

    /// <param name="examples">The examples; they stay their owner's to dispose.</param>
    /// <param name="file">The values of all their completions' tokens; disposed with this.</param>
    /// <param name="path">The file's path, for messages.</param>
    /// <exception cref="InvalidInputException">The file holds another number of values.</exception>
    public ReferencedExamples(IExampleSource examples, ReferenceLogProbsFile file, string path)
    {
        (this.examples, this.file) = (examples, file);
        firstValues = new long[examples.Count];
        var count = 0L;
        foreach (var (index, summary) in examples.Summaries.Index())
        {
            firstValues[index] = count;
            count += summary.Counts.CompletionTokens;
        }
        if (count != file.Count)
            throw new InvalidInputException($"{path} holds {file.Count} values, but the data have {count} completion tokens.");
    }

    public int Count => examples.Count;

    public bool IsInMemory => false;

    public IEnumerable<ExampleSummary> Summaries =>
        examples.Summaries.Select(summary => summary with { References = summary.Completions });

    public DataDigest Digest => DataDigest.Of(this);

    public TrainingExample this[int index]
    {
        get
        {
            var example = examples[index];
            var first = firstValues[index];
            var values = new List<IReadOnlyList<float>>(example.Completions.Count);
            foreach (var completion in example.Completions)
            {
                var own = new float[completion.Count];
                file.Read(first, own);
                values.Add(own);
                first += own.Length;
            }
            return example with { ReferenceLogProbs = values };
        }
    }

    public IEnumerator<TrainingExample> GetEnumerator() =>
        Enumerable.Range(0, Count).Select(index => this[index]).GetEnumerator();

    IEnumerator IEnumerable.GetEnumerator() => GetEnumerator();

    public void Dispose() => file.Dispose();
}
