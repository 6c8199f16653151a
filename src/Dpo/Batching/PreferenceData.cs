using Dpo.Tokenization;

namespace Dpo.Batching;

/// <summary>Tokenized examples, in memory or in a file, served as batches, one epoch at a time.</summary>
/// <remarks>
/// Data that do not fit into memory are tokenized into a file once, and trained on out of it:
/// <code>
/// var examples = tokenizer.Tokenize(PreferenceFile.Read(path, report), report);
/// PreferenceData.Write("train.tokens", examples, tokenizer.Tokenizer);
/// using var data = PreferenceData.Open("train.tokens", tokenizer.Tokenizer);
/// </code>
/// </remarks>
public sealed class PreferenceData : IDisposable
{
    private readonly IExampleSource source;
    private int[]? weights;

    /// <summary>Creates the data of the given examples.</summary>
    /// <exception cref="InvalidInputException">There is no example, or one makes no sense, such as a ranking of completions that
    /// it does not have.</exception>
    public PreferenceData(IEnumerable<TokenizedExample> examples)
    {
        ArgumentNullException.ThrowIfNull(examples);
        source = new ExampleList([.. examples.Select(TrainingExample.Of)]);
        if (source.Count == 0)
            throw new InvalidInputException("The data holds no example that can be trained on; see the counts of dropped rows.");
        foreach (var example in source)
        {
            if (TokenizedExampleFault.Of(example) is { } fault)
                throw new InvalidInputException(
                    $"The example {example.Source ?? "without a source"} cannot be used, because {fault}.");
        }
    }

    /// <summary>Creates the data of a source, which is disposed with them.</summary>
    internal PreferenceData(IExampleSource source) => this.source = source;

    /// <summary>Writes examples to a file for <see cref="Open"/>: whole, or not at all. They are gone through one by one, and
    /// none is kept. Behind them stands an index: what batches are planned from, and what tells these data from others.</summary>
    /// <param name="path">The file, which is replaced where it exists.</param>
    /// <param name="examples">The examples, with reference log-probabilities where they have them.</param>
    /// <param name="tokenizer">The tokenizer that made the ids (<see cref="ExampleTokenizer.Tokenizer"/>), so that
    /// <see cref="Open"/> can refuse another; null leaves it unnamed.</param>
    /// <exception cref="InvalidInputException">There is no example, or one makes no sense, such as a pair of completions that it
    /// does not have.</exception>
    public static void Write(string path, IEnumerable<TokenizedExample> examples, TextTokenizer? tokenizer = null) =>
        TokenizedExampleFile.Write(path, examples, tokenizer?.Identity);

    /// <summary>Opens a file that <see cref="Write"/> wrote. Examples are read when a batch needs them, and only then: batches
    /// are planned, and data are checked and compared, by the file's index. Held in memory are 8 bytes an example. Batches are
    /// the same as those of the examples in memory.</summary>
    /// <remarks><see cref="ChosenOnly"/> and <see cref="WithMismatches"/> make data in memory: to keep them out of it, write what
    /// they answer to a file of its own. The file stays open until the data are disposed.</remarks>
    /// <param name="path">The file.</param>
    /// <param name="tokenizer">The model's tokenizer, to be sure that it made the file; null takes any file.</param>
    /// <exception cref="InvalidInputException">The file cannot be read, or is no such file, or was cut off, or another tokenizer
    /// made it. A damaged example is found when it is read.</exception>
    public static PreferenceData Open(string path, TextTokenizer? tokenizer = null)
    {
        var file = new TokenizedExampleFile(path);
        if (tokenizer?.Identity is { } identity && file.Tokenizer?.Digest != identity.Digest)
        {
            file.Dispose();
            var made = file.Tokenizer is { } other
                ? $"were made by another tokenizer, that of {other.Name}"
                : "do not say which tokenizer made them";
            throw new InvalidInputException(
                $"{path}: the ids {made}, and the one given is that of {identity.Name}; write the file anew with " +
                "PreferenceData.Write and this tokenizer.");
        }
        return new PreferenceData(file) { TokenizerName = file.Tokenizer?.Name };
    }

    /// <summary>Where the tokenizer was loaded from that made the ids of an opened file; null where that is not known, and for
    /// data in memory.</summary>
    public string? TokenizerName { get; private init; }

    /// <summary>The examples, in the order in which they were read. Those of a file are read anew each time.</summary>
    public IReadOnlyList<TrainingExample> Examples => source;

    /// <summary>What is known of the examples without reading them.</summary>
    internal IExampleSource Source => source;

    /// <summary>How much all examples hold of what losses are averaged over.</summary>
    internal PreferenceCounts Counts => PreferenceCounts.Of(source.Summaries);

    /// <summary>
    /// The batches of one epoch. Every example is served once; an example stays in one batch, so that its prompt is computed
    /// once, and the last batch may be smaller.
    /// </summary>
    /// <param name="size">The most pairs in a batch; an example without pairs counts its completions, mismatched ones
    /// aside.</param>
    /// <param name="seed">Shuffles the order, which follows from the number of examples, the seed and the epoch alone: on every
    /// machine and with every version of .NET it is the same. Null keeps the order of the file.</param>
    /// <param name="epoch">Which epoch, from 0: every epoch is shuffled anew.</param>
    public IEnumerable<PreferenceBatch> Batches(int size, int? seed = null, int epoch = 0) =>
        Plan(size, seed, epoch).Select(Load);

    /// <summary>The batches of one epoch as indices of their examples, of which none is read.</summary>
    internal IEnumerable<IReadOnlyList<int>> Plan(int size, int? seed, int epoch)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(size, 1);
        ArgumentOutOfRangeException.ThrowIfNegative(epoch);
        var sizes = weights ??= Weights();
        int[] order = seed is { } value ? ShuffledOrder.Of(sizes.Length, value, epoch) : [.. Enumerable.Range(0, sizes.Length)];
        return PreferenceBatch.Pack(order, index => (0, sizes[index]), int.MaxValue, size);
    }

    /// <summary>How many batches some epochs have.</summary>
    /// <exception cref="InvalidInputException">More than a run can have steps.</exception>
    internal int CountBatches(int size, int? seed, int epochs, CancellationToken cancellationToken)
    {
        var ofFirst = Plan(size, seed, 0).Count();
        var count = 0L;
        // Where the order is always the same, or nothing depends on it, every epoch has as many.
        if (seed is null || weights!.All(weight => weight == weights![0]))
            count = (long)epochs * ofFirst;
        else
        {
            for (var epoch = 0; epoch < epochs && count <= int.MaxValue; epoch++)
            {
                cancellationToken.ThrowIfCancellationRequested();
                count += Plan(size, seed, epoch).Count();
            }
        }
        return count <= int.MaxValue
            ? (int)count
            : throw new InvalidInputException(
                $"{epochs} epochs are more than {int.MaxValue} steps; give fewer epochs, or a number of steps.");
    }

    /// <summary>Reads a batch that was planned.</summary>
    internal PreferenceBatch Load(IReadOnlyList<int> indices) => new([.. indices.Select(index => source[index])]);

    /// <summary>The first example of which something is true by its summary: the only one that is read. Null where there is
    /// none.</summary>
    internal TrainingExample? Find(Func<ExampleSummary, bool> isSo)
    {
        foreach (var (index, summary) in source.Summaries.Index())
        {
            if (isSo(summary))
                return source[index];
        }
        return null;
    }

    /// <summary>Closes the file where the examples lie in one; data in memory need no disposing.</summary>
    public void Dispose() => source.Dispose();

    private int[] Weights()
    {
        var sizes = new int[source.Count];
        foreach (var (index, summary) in source.Summaries.Index())
            sizes[index] = summary.PairWeight;
        return sizes;
    }

    /// <summary>The data supervised fine-tuning takes: the chosen completions of every example that has one.</summary>
    public PreferenceData ChosenOnly() =>
        new(Examples.Select(example => example.ChosenOnly()).Where(example => example.Completions.Count > 0));

    /// <summary>
    /// The data KTO takes: each example with one more completion, the first of the next example that has another prompt. What
    /// the policy and the reference say of those tells how far apart the two are (<c>KtoLoss</c>). TRL pairs neighbours
    /// of the file in the same way.
    /// </summary>
    /// <remarks>Reference log-probabilities that examples carry are left out: compute them of the result.</remarks>
    /// <param name="maxLength">The most tokens of a prompt and a foreign completion together; the completion is cut to that, but
    /// not below one token.</param>
    /// <exception cref="InvalidInputException">All examples have one prompt.</exception>
    public PreferenceData WithMismatches(int maxLength = 512)
    {
        TrainingExample[] examples = [.. Examples]; // those of a file are read once
        // The next example with another prompt, from the last to the first; the file's end goes on at its beginning.
        var next = new int[examples.Length];
        for (var index = 2 * examples.Length - 1; index >= 0; index--)
        {
            var (own, following) = (index % examples.Length, (index + 1) % examples.Length);
            next[own] = examples[own].Prompt.SequenceEqual(examples[following].Prompt) ? next[following] : following;
        }
        return new(examples.Zip(next, (example, other) =>
        {
            if (examples[other].Prompt.SequenceEqual(example.Prompt))
                throw new InvalidInputException(
                    "All examples have the same prompt, so none has a completion of another; KTO needs several prompts.");
            IReadOnlyList<int> foreign = [.. examples[other].Completions[0].Take(Math.Max(1, maxLength - example.Prompt.Count))];
            return example with
            {
                Completions = [.. example.Completions.SkipLast(example.MismatchedCount), foreign],
                MismatchedCount = 1,
                ReferenceLogProbs = null,
            };
        }));
    }
}
