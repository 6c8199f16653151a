namespace Dpo;

/// <summary>Tokenized examples, in memory or in a file, served as batches, one epoch at a time.</summary>
/// <remarks>
/// Data that do not fit into memory are tokenized into a file once, and trained on out of it:
/// <code>
/// PreferenceData.Write("train.tokens", PreferenceFile.Read(path, report).Select(example => tokenizer.Tokenize(example, report)).OfType&lt;TokenizedExample>());
/// var data = PreferenceData.Open("train.tokens");
/// </code>
/// </remarks>
public sealed class PreferenceData
{
    /// <summary>Creates the data of the given examples.</summary>
    /// <exception cref="InvalidInputException">There is no example.</exception>
    public PreferenceData(IEnumerable<TokenizedExample> examples)
    {
        ArgumentNullException.ThrowIfNull(examples);
        Examples = [.. examples];
        if (Examples.Count == 0)
            throw new InvalidInputException("The data holds no example that can be trained on; see the counts of dropped rows.");
    }

    private PreferenceData(TokenizedExampleFile file) => Examples = file;

    /// <summary>Writes examples to a file for <see cref="Open"/>: whole, or not at all. They are gone through one by one, and 8 bytes are
    /// kept of each.</summary>
    /// <param name="path">The file, which is replaced where it exists.</param>
    /// <param name="examples">The examples, with reference log-probabilities where they have them.</param>
    /// <exception cref="InvalidInputException">There is no example.</exception>
    public static void Write(string path, IEnumerable<TokenizedExample> examples) => TokenizedExampleFile.Write(path, examples);

    /// <summary>Opens a file that <see cref="Write"/> wrote. Examples are read when a batch needs them; no more than 4 bytes an example are
    /// held, for the order of an epoch. Batches are the same as those of the examples in memory.</summary>
    /// <remarks><see cref="ChosenOnly"/>, <see cref="WithMismatches"/> and <see cref="ReferenceLogProbs"/> make data in memory: to keep them out of it, write what
    /// they answer to a file of its own. The file stays open while the data are in use.</remarks>
    /// <param name="path">The file.</param>
    /// <exception cref="InvalidInputException">The file cannot be read, or is no such file, or was cut off. A damaged example is found when it
    /// is read.</exception>
    public static PreferenceData Open(string path) => new(new TokenizedExampleFile(path));

    /// <summary>The examples, in the order in which they were read. Those of a file are read anew each time.</summary>
    public IReadOnlyList<TokenizedExample> Examples { get; }

    /// <summary>
    /// The batches of one epoch. Every example is served once; an example stays in one batch, so that its prompt is computed
    /// once, and the last batch may be smaller.
    /// </summary>
    /// <param name="size">The most pairs in a batch; an example without pairs counts its completions, mismatched ones
    /// aside.</param>
    /// <param name="seed">Shuffles the order, which follows from the number of examples, the seed and the epoch alone: on every machine
    /// and with every version of .NET it is the same. Null keeps the order of the file.</param>
    /// <param name="epoch">Which epoch, from 0: every epoch is shuffled anew.</param>
    public IEnumerable<PreferenceBatch> Batches(int size, int? seed = null, int epoch = 0)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(size, 1);
        ArgumentOutOfRangeException.ThrowIfNegative(epoch);
        int[] order = seed is { } value ? ShuffledOrder.Of(Examples.Count, value, epoch) : [.. Enumerable.Range(0, Examples.Count)];
        return PreferenceBatch.Pack(order.Select(index => Examples[index]), int.MaxValue, size);
    }

    /// <summary>The data supervised fine-tuning takes: the chosen completions of every example that has one.</summary>
    public PreferenceData ChosenOnly() =>
        new(Examples.Select(example => example.ChosenOnly()).Where(example => example.Completions.Count > 0));

    /// <summary>
    /// The data KTO takes: each example with one more completion, the first of the next example that has another prompt. What
    /// the policy and the reference say of those tells how far apart the two are (<see cref="KtoLoss"/>). TRL pairs neighbours
    /// of the file in the same way.
    /// </summary>
    /// <remarks>Reference log-probabilities that examples carry are left out: compute them of the result.</remarks>
    /// <param name="maxLength">The most tokens of a prompt and a foreign completion together; the completion is cut to that, but
    /// not below one token.</param>
    /// <exception cref="InvalidInputException">All examples have one prompt.</exception>
    public PreferenceData WithMismatches(int maxLength = 512)
    {
        // The next example with another prompt, from the last to the first; the file's end goes on at its beginning.
        var next = new int[Examples.Count];
        for (var index = 2 * Examples.Count - 1; index >= 0; index--)
        {
            var (own, following) = (index % Examples.Count, (index + 1) % Examples.Count);
            next[own] = Examples[own].Prompt.SequenceEqual(Examples[following].Prompt) ? next[following] : following;
        }
        return new(Examples.Zip(next, (example, other) =>
        {
            if (Examples[other].Prompt.SequenceEqual(example.Prompt))
                throw new InvalidInputException("All examples have the same prompt, so none has a completion of another; KTO needs several prompts.");
            IReadOnlyList<int> foreign = [.. Examples[other].Completions[0].Take(Math.Max(1, maxLength - example.Prompt.Count))];
            return example with
            {
                Completions = [.. example.Completions.SkipLast(example.MismatchedCount), foreign],
                MismatchedCount = 1,
                ReferenceLogProbs = null,
            };
        }));
    }
}
