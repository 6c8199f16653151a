using Dpo.Batching;
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Logging.Abstractions;
using static TorchSharp.torch;

namespace Dpo.Training.Reference;

/// <summary>
/// What the reference says of a data set, computed once instead of in every step. The values travel with the examples
/// (<see cref="TrainingExample.ReferenceLogProbs"/>): training then does not run the reference, and does not need it in memory
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
    /// <param name="cancellationToken">Ends the computation between two batches.</param>
    /// <returns>The same examples in the same order, with their values.</returns>
    /// <exception cref="InvalidInputException">An example is too long for the model, or holds a token id that it does not
    /// know.</exception>
    /// <exception cref="InvalidOperationException">The reference was released.</exception>
    /// <exception cref="OperationCanceledException">The computation was cancelled.</exception>
    public static PreferenceData Compute(
        PolicyReferencePair pair,
        PreferenceData data,
        int maxTokens = 4096,
        IProgress<int>? progress = null,
        CancellationToken cancellationToken = default)
    {
        ArgumentNullException.ThrowIfNull(pair);
        ArgumentNullException.ThrowIfNull(data);
        ArgumentOutOfRangeException.ThrowIfLessThan(maxTokens, 1);
        var order = OrderOf(data);
        var examples = new TrainingExample[order.Length];
        void Take(int done, PreferenceBatch batch, float[] values)
        {
            foreach (var (index, ofCompletions) in batch.ByCompletion(values).Index())
                examples[order[done + index]] = batch.Examples[index] with { ReferenceLogProbs = ofCompletions };
        }
        Run(pair, data, order, done: 0, maxTokens, Take, progress, cancellationToken);
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
    /// <para>A computation that is interrupted, however it ends, is gone on with by the next call: until it is whole, what was
    /// computed lies in a file beside it that has <c>.partial</c> behind its name, written batch by batch.</para>
    /// <para>Values are held in memory where the data are. Those of data in a file (<see cref="PreferenceData.Open"/>) are read
    /// when an example is: dispose what is returned, before the data it was made of, to close the file.</para>
    /// </remarks>
    /// <param name="path">The file, such as <c>reference.safetensors</c>; what is no such file is never replaced.</param>
    /// <param name="pair">The models.</param>
    /// <param name="data">The examples.</param>
    /// <param name="maxTokens">As for <see cref="Compute"/>.</param>
    /// <param name="progress">As for <see cref="Compute"/>.</param>
    /// <param name="logger">Is told whether values were loaded or computed, and why.</param>
    /// <param name="cancellationToken">As for <see cref="Compute"/>; the next call goes on where it was.</param>
    /// <returns>The same examples in the same order, with their values.</returns>
    /// <exception cref="InvalidInputException">Something else lies at the path, or another run computes the file.</exception>
    /// <exception cref="InvalidOperationException">The reference was released.</exception>
    /// <exception cref="OperationCanceledException">The computation was cancelled.</exception>
    public static PreferenceData LoadOrCompute(
        string path,
        PolicyReferencePair pair,
        PreferenceData data,
        int maxTokens = 4096,
        IProgress<int>? progress = null,
        ILogger? logger = null,
        CancellationToken cancellationToken = default)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(maxTokens, 1);
        var key = KeyOf(path, pair, data);
        logger ??= NullLogger.Instance;
        if (Path.Exists(path))
        {
            ReferenceLogProbsFile.RequireReplaceable(path);
            try
            {
                var loaded = Read(path, key, data);
                PartialReferenceLogProbs.Sweep(path, key);
                logger.LogInformation("Loaded the reference log-probabilities from {Path}.", path);
                return loaded;
            }
            catch (InvalidInputException e)
            {
                logger.LogWarning("{Reason} The reference log-probabilities are computed anew.", e.Message);
            }
        }

        cancellationToken.ThrowIfCancellationRequested();
        // Before the long computation, so that it is not for nothing.
        Directory.CreateDirectory(Path.GetDirectoryName(Path.GetFullPath(path))!);
        ComputeInto(path, key, pair, data, maxTokens, progress, logger, cancellationToken);
        var computed = Read(path, key, data);
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
                $"{e.Message} Give the file of this reference and this data, " +
                "or have it computed with ReferenceLogProbs.LoadOrCompute.", e);
        }
    }

    private static ReferenceLogProbsKey KeyOf(string path, PolicyReferencePair pair, PreferenceData data)
    {
        ArgumentException.ThrowIfNullOrEmpty(path);
        ArgumentNullException.ThrowIfNull(pair);
        ArgumentNullException.ThrowIfNull(data);
        return ReferenceLogProbsKey.Of(pair, data);
    }

    private static PreferenceData Read(string path, ReferenceLogProbsKey key, PreferenceData data)
    {
        var file = new ReferenceLogProbsFile(path, key);
        try
        {
            var examples = new ReferencedExamples(data.Source, file, path);
            if (!data.Source.IsInMemory)
                return new PreferenceData(source: examples);
            var held = new PreferenceData([.. examples]);
            file.Dispose();
            return held;
        }
        catch
        {
            file.Dispose();
            throw;
        }
    }

    /// <summary>Computes a file, or the rest of it, batch by batch.</summary>
    private static void ComputeInto(
        string path, ReferenceLogProbsKey key, PolicyReferencePair pair, PreferenceData data, int maxTokens,
        IProgress<int>? progress, ILogger logger, CancellationToken cancellationToken)
    {
        var order = OrderOf(data);
        var ranks = new int[order.Length];
        foreach (var (rank, index) in order.Index())
            ranks[index] = rank;
        var valueCounts = new int[order.Length];
        foreach (var (index, summary) in data.Source.Summaries.Index())
            valueCounts[ranks[index]] = summary.Counts.CompletionTokens;
        using (var log = new PartialReferenceLogProbs(path, key, valueCounts))
        {
            if (log.Done > 0)
                logger.LogInformation(
                    "Going on with the reference log-probabilities: those of {Done} of {Count} examples are in {Path}.",
                    log.Done, order.Length, PartialReferenceLogProbs.PathOf(path));
            Run(
                pair, data, order, log.Done, maxTokens, (_, batch, values) => log.Append(batch.Examples.Count, values), progress,
                cancellationToken);
            ReferenceLogProbsFile.Write(path, key, valueCounts.Sum(count => (long)count), ranks.Select(log.Read));
        }
        PartialReferenceLogProbs.Sweep(path, key);
    }

    /// <summary>The order of the computation. Neighbours of one length leave a module that pads little to pad; and where memory
    /// is short, the first batch says so.</summary>
    private static int[] OrderOf(PreferenceData data) =>
        [.. data.Source.Summaries.Index().OrderByDescending(item => item.Item.TokenCount).Select(item => item.Index)];

    /// <summary>Runs the reference over examples in an order, from the one after those that are done.</summary>
    /// <param name="pair">The models.</param>
    /// <param name="data">The examples.</param>
    /// <param name="order">Their order.</param>
    /// <param name="done">How many of them are done.</param>
    /// <param name="maxTokens">The most tokens computed at once.</param>
    /// <param name="take">Takes the values of a batch, whose first example is the one after those that were done.</param>
    /// <param name="progress">Is told how many are done.</param>
    /// <param name="cancellationToken">Ends the computation between two batches.</param>
    private static void Run(
        PolicyReferencePair pair, PreferenceData data, int[] order, int done, int maxTokens,
        Action<int, PreferenceBatch, float[]> take, IProgress<int>? progress, CancellationToken cancellationToken)
    {
        ModelFit.Require(pair.ReferenceModel, data);
        var sorted = order.Skip(done).Select(index => data.Examples[index] with { ReferenceLogProbs = null });
        foreach (var examples in PreferenceBatch.Pack(sorted, example => (example.TokenCount, 0), maxTokens, int.MaxValue))
        {
            cancellationToken.ThrowIfCancellationRequested();
            var batch = new PreferenceBatch(examples);
            take(done, batch, [.. batch.Slices(maxTokens).SelectMany(slice => Values(pair, slice))]);
            done += examples.Count;
            progress?.Report(done);
        }
    }

    private static float[] Values(PolicyReferencePair pair, PreferenceBatch batch)
    {
        using var scope = NewDisposeScope();
        return pair.LogProbsOfReference(batch.To(pair.Policy.Device)).PerToken.cpu().data<float>().ToArray();
    }
}
