using Dpo.Layout;
using Dpo.Native;
using Dpo.Tokenization;
using static TorchSharp.torch;

namespace Dpo.Batching;

/// <summary>
/// The examples of one optimizer step, or of a part of it. Holds token ids in managed memory only; <see cref="To"/> makes
/// the tensors.
/// </summary>
public sealed class PreferenceBatch
{
    /// <summary>Creates a batch of the given examples, in their order.</summary>
    /// <exception cref="ArgumentException">There is no example.</exception>
    public PreferenceBatch(IReadOnlyList<TokenizedExample> examples)
    {
        ArgumentNullException.ThrowIfNull(examples);
        if (examples.Count == 0)
            throw new ArgumentException("A batch needs at least one example.", nameof(examples));
        Examples = [.. examples.Select(TrainingExample.Of)];
    }

    /// <summary>The examples, in the order in which their tokens lie.</summary>
    public IReadOnlyList<TrainingExample> Examples { get; }

    /// <summary>Pairs of all examples: P. The loss of a step is the mean over them.</summary>
    public int PairCount => Examples.Sum(example => example.Pairs.Count);

    /// <summary>How much there is of what losses are averaged over.</summary>
    public PreferenceCounts Counts => PreferenceCounts.Of(Examples);

    /// <summary>Completions of all examples: S.</summary>
    public int CompletionCount => Examples.Sum(example => example.Completions.Count);

    /// <summary>Tokens of all completions, end-of-text tokens included: M.</summary>
    public int CompletionTokenCount => Examples.Sum(example => example.Completions.Sum(ids => ids.Count));

    /// <summary>Tokens as TRL's <c>num_tokens</c> counts them: the prompt once for every completion.</summary>
    public int SequenceTokenCount =>
        CompletionTokenCount + Examples.Sum(example => example.Prompt.Count * example.Completions.Count);

    /// <summary>
    /// Cuts the batch into micro-batches that fit a memory budget, the longest examples first, so that each part's are of
    /// similar length. An example that exceeds the budget by itself is cut too, its prompt repeated; but completions that a pair
    /// or a ranking joins stay together, in a part of their own where they are too many. However a batch is cut, the parts'
    /// summed losses and gradients add up to the whole's.
    /// </summary>
    /// <param name="maxTokens">The most tokens a part's model input may have, each prompt counted once.</param>
    /// <param name="maxPairs">The most pairs in a part; an example without pairs counts its completions, mismatched ones
    /// aside.</param>
    public IEnumerable<PreferenceBatch> Split(int maxTokens = int.MaxValue, int maxPairs = int.MaxValue)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(maxTokens, 1);
        ArgumentOutOfRangeException.ThrowIfLessThan(maxPairs, 1);
        var cut = Examples.SelectMany(example => ExampleCuts.Apart(example, maxTokens, maxPairs));
        var sorted = cut.OrderByDescending(example => example.TokenCount);
        return Pack(sorted, example => (example.TokenCount, example.PairWeight), maxTokens, maxPairs)
            .Select(part => new PreferenceBatch(part));
    }

    /// <summary>Cuts a batch of one example that exceeds the budget, and is more than a pair, between any of its completions;
    /// another stays as it is. The parts' log-probabilities, one behind the other, are the batch's; a loss takes them all at
    /// once.</summary>
    internal IEnumerable<PreferenceBatch> Slices(int maxTokens) =>
        Examples is [{ Completions.Count: > 2 } single] && single.TokenCount > maxTokens
            ? ExampleCuts.Slices(single, maxTokens).Select(slice => new PreferenceBatch([slice]))
            : [this];

    /// <summary>Packs items, in order, into lists within both limits; one that exceeds a limit by itself is alone in its
    /// list.</summary>
    internal static IEnumerable<IReadOnlyList<T>> Pack<T>(
        IEnumerable<T> items, Func<T, (long Tokens, int Pairs)> sizeOf, int maxTokens, int maxPairs)
    {
        var part = new List<T>();
        var (tokens, pairs) = (0L, 0L);
        foreach (var item in items)
        {
            var (itemTokens, itemPairs) = sizeOf(item);
            if (part.Count > 0 && (tokens + itemTokens > maxTokens || pairs + itemPairs > maxPairs))
            {
                yield return part;
                (part, tokens, pairs) = ([], 0, 0);
            }
            part.Add(item);
            tokens += itemTokens;
            pairs += itemPairs;
        }
        if (part.Count > 0)
            yield return part;
    }

    /// <summary>Lays the tokens end to end and makes the tensors a model and a loss take.</summary>
    /// <returns>Tensors on <paramref name="device"/>; they belong to the current dispose scope, or to the caller where there
    /// is none.</returns>
    /// <exception cref="InvalidOperationException">The reference log-probabilities of an example belong to other
    /// completions.</exception>
    public BatchTensors To(Device device)
    {
        var layout = new SequenceLayout([.. Examples.Select(example =>
            new ExampleLengths(example.Prompt.Count, [.. example.Completions.Select(ids => ids.Count)]))]);
        var (rows, targets) = (new long[layout.RowCount], new long[CompletionTokenCount]);
        var (row, target) = (0, 0);
        foreach (var example in Examples)
        {
            foreach (var id in example.Prompt)
                rows[row++] = id;
            foreach (var completion in example.Completions)
            {
                // From a completion's last token nothing is predicted.
                for (var token = 0; token < completion.Count - 1; token++)
                    rows[row++] = completion[token];
                foreach (var id in completion)
                    targets[target++] = id;
            }
        }
        return new BatchTensors(
            DeviceCopy.Of(rows, device), layout, DeviceCopy.Of(targets, device), PreferenceTensors.Of(Examples, device),
            ReferencePerToken() is { } perToken ? DeviceCopy.Of(perToken, device) : null);
    }

    /// <summary>Cuts the values of all completions' tokens, in the order of the batch, by example and completion.</summary>
    internal IEnumerable<IReadOnlyList<IReadOnlyList<float>>> ByCompletion(float[] values)
    {
        var offset = 0;
        foreach (var example in Examples)
            yield return [.. example.Completions.Select(completion => values[offset..(offset += completion.Count)])];
    }

    private float[]? ReferencePerToken()
    {
        if (Examples.Any(example => example.ReferenceLogProbs is null))
            return null;
        foreach (var example in Examples)
        {
            // A copy of an example with other completions keeps the values of the old ones.
            if (!example.ReferenceLogProbs!.Select(values => values.Count)
                .SequenceEqual(example.Completions.Select(ids => ids.Count)))
                throw new InvalidOperationException(
                    $"The reference log-probabilities of the example {example.Source ?? "without a source"} belong to other " +
                    "completions; set them to null, or compute them again.");
        }
        return [.. Examples.SelectMany(example => example.ReferenceLogProbs!.SelectMany(values => values))];
    }
}
