using System.Collections.Concurrent;
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Logging.Abstractions;

namespace Dpo.Evaluation.Judging;

/// <summary>Has a judge judge many comparisons, and keeps every verdict in a file as it comes.</summary>
public static class JudgingRun
{
    /// <summary>Judges comparisons.</summary>
    /// <remarks>
    /// <para>The file has a JSON object a line: <c>digest</c>, <c>judge</c>, <c>id</c>, <c>order</c> (<c>as given</c> or
    /// <c>reversed</c>), <c>verdict</c> (<c>win</c>, <c>tie</c> or <c>loss</c> of <see cref="Comparison.First"/>, or
    /// <c>unparsed</c>), <c>explanation</c>, <c>attempts</c>, <c>input_tokens</c>, <c>output_tokens</c>. It is on the disk before
    /// the next question is asked in its place, so that a run that is killed, cancelled or fails loses at most what was in
    /// flight, and one that is started again asks the rest. A line that was torn by a kill is cut off, which the log says.</para>
    /// <para>The digest is that of what was asked: the judge's <see cref="IJudge.Identity"/>, the comparison's id and texts, and
    /// the order. So verdicts of several judges, prompts and runs may lie in one file, and none is taken for another's. A
    /// question without a verdict is kept as well, and is asked anew once its line is taken out.</para>
    /// <para>Where a call of the judge fails, those that are in flight are waited for and kept before the exception comes.</para>
    /// </remarks>
    /// <param name="judge">The judge. It is called from this thread as long as its calls return at once, as those of offline
    /// judges do.</param>
    /// <param name="comparisons">The comparisons. Those with equal texts and ids are asked once, and share the verdict.</param>
    /// <param name="path">The file, such as <c>verdicts.jsonl</c>; made where it is missing. One run at a time can write to
    /// it.</param>
    /// <param name="options">How they are judged; the defaults where null.</param>
    /// <param name="progress">Told after every answer, one call at a time.</param>
    /// <param name="logger">Told of a file that was torn.</param>
    /// <param name="cancellationToken">Ends it.</param>
    /// <exception cref="InvalidInputException">Another run writes to the file, it cannot be read or written, or a line of it is
    /// no verdict.</exception>
    /// <exception cref="IOException">A service failed as often as is allowed, or a verdict cannot be written.</exception>
    /// <exception cref="OperationCanceledException">It was ended.</exception>
    public static async Task<JudgingResult> RunAsync(
        IJudge judge, IEnumerable<Comparison> comparisons, string path, JudgingOptions? options = null,
        IProgress<JudgingProgress>? progress = null, ILogger? logger = null, CancellationToken cancellationToken = default)
    {
        ArgumentNullException.ThrowIfNull(judge);
        ArgumentNullException.ThrowIfNull(comparisons);
        ArgumentException.ThrowIfNullOrEmpty(path);
        options ??= new JudgingOptions();
        options.Validate();
        var identity = judge.Identity;
        Question[][] questions = [.. comparisons.Select(comparison => Question.Of(identity, comparison, options).ToArray())];
        Question[] distinct = [.. questions.SelectMany(each => each).DistinctBy(question => question.Digest)];
        using var file = new VerdictFile(path, logger ?? NullLogger.Instance);
        Question[] open = [.. distinct.Where(question => file.Find(question.Digest) is null)];

        var newTokens = await AskAsync(judge, open, distinct, file, options, progress, cancellationToken).ConfigureAwait(false);
        var tokens = Sum(distinct.Select(question => file.Find(question.Digest)!.Judgement));
        return new JudgingResult
        {
            Comparisons =
                [.. questions.Select(each => new Judged(each[0].Comparison.Id, [.. each.Select(one => file.Find(one.Digest)!)]))],
            Asked = open.Length,
            Kept = distinct.Length - open.Length,
            Tokens = tokens,
            NewTokens = newTokens,
            Cost = options.Prices?.Cost(tokens),
            NewCost = options.Prices?.Cost(newTokens),
        };
    }

    /// <summary>Asks questions, so many at once.</summary>
    /// <returns>The tokens that they took.</returns>
    private static async Task<TokenCount> AskAsync(
        IJudge judge, Question[] open, Question[] all, VerdictFile file, JudgingOptions options,
        IProgress<JudgingProgress>? progress, CancellationToken cancellationToken)
    {
        var batches = new ConcurrentQueue<Question[]>(open.Chunk(judge.BatchSize));
        var (done, tokens, guard) = (all.Length - open.Length, default(TokenCount), new Lock());
        var unparsed = all.Count(question => file.Find(question.Digest) is { Judgement.Verdict: null });

        // Those at work when another one fails end what they have begun, and begin nothing more.
        async Task WorkAsync()
        {
            while (batches.TryDequeue(out var batch))
            {
                try
                {
                    cancellationToken.ThrowIfCancellationRequested();
                    Keep(batch, await judge.CompareAsync([.. batch.Select(question => question.Shown)], cancellationToken)
                        .ConfigureAwait(false));
                }
                catch
                {
                    batches.Clear();
                    throw;
                }
            }
        }

        void Keep(Question[] batch, IReadOnlyList<Judgement> judgements)
        {
            if (judgements.Count != batch.Length)
                throw new InvalidOperationException(
                    $"{judge.GetType().Name} was given {batch.Length} comparisons and answered with {judgements.Count} " +
                    "judgements; it must give one for each.");
            lock (guard)
            {
                file.Append(judge.Name, [.. batch.Zip(judgements, (asked, judgement) => (asked, asked.TurnBack(judgement)))]);
                done += batch.Length;
                unparsed += judgements.Count(judgement => judgement.Verdict is null);
                tokens += Sum(judgements);
                progress?.Report(new JudgingProgress(done, all.Length, unparsed, tokens, options.Prices?.Cost(tokens)));
            }
        }

        await Task.WhenAll(Enumerable.Range(0, options.Concurrency).Select(_ => WorkAsync())).ConfigureAwait(false);
        return tokens;
    }

    private static TokenCount Sum(IEnumerable<Judgement> judgements) =>
        judgements.Aggregate(default(TokenCount), (sum, judgement) => sum + judgement.Tokens);
}
