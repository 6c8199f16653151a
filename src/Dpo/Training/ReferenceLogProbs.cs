using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Logging.Abstractions;
using static TorchSharp.torch;

namespace Dpo;

/// <summary>
/// What the reference says of a data set, computed once instead of in every step. The values travel with the examples
/// (<see cref="TokenizedExample.ReferenceLogProbs"/>): training then does not run the reference, and does not need it in memory
/// (<see cref="PolicyReferencePair.ReleaseReference"/>).
/// </summary>
/// <remarks>
/// <para>Training on them equals training with the live reference: to the bit where matrix products round every row alike, and
/// to rounding where that depends on the number of rows, which is another here than in training; the first step's rewards
/// are then nearly 0 instead of exactly.</para>
/// <para>No random number is drawn, and the order of the data stays. The values depend on tokens, not on pairs, so that they
/// serve any loss and any labels.</para>
/// </remarks>
public static class ReferenceLogProbs
{
    /// <summary>Runs the reference over all examples; values that they carry already are not used.</summary>
    /// <param name="pair">The models.</param>
    /// <param name="data">The examples.</param>
    /// <param name="maxTokens">The most tokens computed at once, each prompt counted once. Bounds memory.</param>
    /// <param name="progress">Is told how many examples are done, on the calling thread.</param>
    /// <param name="cancellation">Ends the computation between two batches.</param>
    /// <returns>The same examples in the same order, with their values.</returns>
    /// <exception cref="InvalidOperationException">The reference was released.</exception>
    /// <exception cref="OperationCanceledException">The computation was cancelled.</exception>
    public static PreferenceData Compute(
        PolicyReferencePair pair,
        PreferenceData data,
        int maxTokens = 4096,
        IProgress<int>? progress = null,
        CancellationToken cancellation = default)
    {
        ArgumentNullException.ThrowIfNull(pair);
        ArgumentNullException.ThrowIfNull(data);
        ArgumentOutOfRangeException.ThrowIfLessThan(maxTokens, 1);
        // Neighbours of one length leave a module that pads little to pad; and where memory is short, the first batch says so.
        int[] order = [.. data.Source.Summaries.Index().OrderByDescending(item => item.Item.TokenCount).Select(item => item.Index)];
        var examples = new TokenizedExample[order.Length];
        var done = 0;
        var sorted = order.Select(index => data.Examples[index] with { ReferenceLogProbs = null });
        foreach (var batch in PreferenceBatch.Pack(sorted, example => (example.TokenCount, 0), maxTokens, int.MaxValue).Select(part => new PreferenceBatch(part)))
        {
            cancellation.ThrowIfCancellationRequested();
            using var scope = NewDisposeScope();
            float[] values = [.. batch.Slices(maxTokens).SelectMany(slice =>
                pair.ReferenceLogProbs(slice.To(pair.Policy.Device)).PerToken.cpu().data<float>().ToArray())];
            foreach (var example in WithValues(batch.Examples, values))
                examples[order[done++]] = example;
            progress?.Report(done);
        }
        return new PreferenceData(examples);
    }

    /// <summary>
    /// Loads the values from a file where it holds those of this reference and this data; otherwise computes them and writes
    /// the file. Why an existing file was of no use is logged as a warning.
    /// </summary>
    /// <remarks>
    /// The file is in the safetensors format: a tensor <c>reference_log_probs</c>, fp32, with the values of all completions'
    /// tokens in the order of the data. Its key is the SHA-256 of the reference's weights, of its <c>config.json</c> and of all
    /// token ids, and the precision. The code of a module of your own and the device are not part of the key. The file appears
    /// whole or not at all, in a folder that is made where it is missing.
    /// </remarks>
    /// <param name="path">The file, such as <c>reference.safetensors</c>; what is no such file is never replaced.</param>
    /// <param name="pair">The models.</param>
    /// <param name="data">The examples.</param>
    /// <param name="maxTokens">As for <see cref="Compute"/>.</param>
    /// <param name="progress">As for <see cref="Compute"/>.</param>
    /// <param name="logger">Is told whether values were loaded or computed, and why.</param>
    /// <param name="cancellation">As for <see cref="Compute"/>; no file is written then.</param>
    /// <returns>The same examples in the same order, with their values.</returns>
    /// <exception cref="InvalidInputException">Something else lies at the path.</exception>
    /// <exception cref="InvalidOperationException">The reference was released.</exception>
    /// <exception cref="OperationCanceledException">The computation was cancelled.</exception>
    public static PreferenceData LoadOrCompute(
        string path,
        PolicyReferencePair pair,
        PreferenceData data,
        int maxTokens = 4096,
        IProgress<int>? progress = null,
        ILogger? logger = null,
        CancellationToken cancellation = default)
    {
        var key = KeyOf(path, pair, data);
        logger ??= NullLogger.Instance;
        if (Path.Exists(path))
        {
            ReferenceLogProbsFile.RequireReplaceable(path);
            try
            {
                var loaded = Read(path, key, data);
                logger.LogInformation("Loaded the reference log-probabilities from {Path}.", path);
                return loaded;
            }
            catch (InvalidInputException e)
            {
                logger.LogWarning("{Reason} The reference log-probabilities are computed anew.", e.Message);
            }
        }

        // Before the long computation, so that it is not for nothing.
        Directory.CreateDirectory(Path.GetDirectoryName(Path.GetFullPath(path))!);
        var computed = Compute(pair, data, maxTokens, progress, cancellation);
        ReferenceLogProbsFile.Write(
            path, key, [.. computed.Examples.SelectMany(example => example.ReferenceLogProbs!.SelectMany(values => values))]);
        logger.LogInformation("Computed the reference log-probabilities and saved them to {Path}.", path);
        return computed;
    }

    /// <summary>Loads the values from a file that <see cref="LoadOrCompute"/> wrote; never computes them.</summary>
    /// <param name="path">The file.</param>
    /// <param name="pair">The models.</param>
    /// <param name="data">The examples.</param>
    /// <returns>The same examples in the same order, with their values.</returns>
    /// <exception cref="InvalidInputException">The file is missing, damaged, or was computed with other weights, another model
    /// configuration, other tokens or another precision; the message says which.</exception>
    /// <exception cref="InvalidOperationException">The reference was released.</exception>
    public static PreferenceData Load(string path, PolicyReferencePair pair, PreferenceData data)
    {
        var key = KeyOf(path, pair, data);
        try
        {
            return Read(path, key, data);
        }
        catch (InvalidInputException e)
        {
            throw new InvalidInputException(
                $"{e.Message} Give the file of this reference and this data, or have it computed with ReferenceLogProbs.LoadOrCompute.", e);
        }
    }

    private static ReferenceLogProbsKey KeyOf(string path, PolicyReferencePair pair, PreferenceData data)
    {
        ArgumentException.ThrowIfNullOrEmpty(path);
        ArgumentNullException.ThrowIfNull(pair);
        ArgumentNullException.ThrowIfNull(data);
        return ReferenceLogProbsKey.Of(pair, data);
    }

    private static PreferenceData Read(string path, ReferenceLogProbsKey key, PreferenceData data) =>
        new(WithValues(data.Examples, ReferenceLogProbsFile.Read(path, key)));

    /// <summary>Gives every example its part of the values of all.</summary>
    private static IEnumerable<TokenizedExample> WithValues(IEnumerable<TokenizedExample> examples, float[] values)
    {
        var offset = 0;
        foreach (var example in examples)
        {
            var own = new List<IReadOnlyList<float>>(example.Completions.Count);
            foreach (var completion in example.Completions)
                own.Add(values[offset..(offset += completion.Count)]);
            yield return example with { ReferenceLogProbs = own };
        }
    }
}
