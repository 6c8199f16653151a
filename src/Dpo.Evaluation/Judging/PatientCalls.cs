using Microsoft.Extensions.Logging;

namespace Dpo.Evaluation.Judging;

/// <summary>Calls to a service that may fail, be slow, or say when to call again; all that are made together keep to
/// that.</summary>
internal sealed class PatientCalls(ChatJudgeOptions options, ILogger logger)
{
    /// <summary>When the service may be called again, by <see cref="Environment.TickCount64"/>.</summary>
    private long notBefore;

    /// <summary>Makes a call until it succeeds, or no more are to be made.</summary>
    /// <param name="call">The call.</param>
    /// <param name="subject">What it is for, in messages.</param>
    /// <param name="cancellationToken">Ends it.</param>
    /// <returns>What the call gave; or null, and why the service never will.</returns>
    /// <exception cref="IOException">It failed as often as is allowed, or for good.</exception>
    public async Task<(T? Value, string? Refusal)> MakeAsync<T>(
        Func<CancellationToken, Task<T>> call, string subject, CancellationToken cancellationToken)
        where T : class
    {
        for (var failed = 1; ; failed++)
        {
            await WaitForTurnAsync(cancellationToken).ConfigureAwait(false);
            using var limit = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken);
            limit.CancelAfter(options.Timeout);
            try
            {
                // A client that pays no heed to its token is left behind.
                return (await call(limit.Token).WaitAsync(limit.Token).ConfigureAwait(false), null);
            }
            catch (Exception e)
            {
                cancellationToken.ThrowIfCancellationRequested();
                var reason = limit.IsCancellationRequested
                    ? $"no answer within {options.Timeout.TotalSeconds:G4} s"
                    : OneLine(e.Message);
                var advice = options.Advice?.Invoke(e) ?? RetryAdvice.Of(e);
                if (advice.Action == RetryAction.Unanswerable)
                    return (null, reason);
                if (advice.Action == RetryAction.Stop && e is InvalidInputException)
                    throw;
                if (advice.Action == RetryAction.Stop || failed == options.Calls)
                    throw new IOException($"{subject} was not judged, since {failed} calls failed, the last with: {reason}", e);
                var delay = advice.After ?? Delay(failed);
                logger.LogInformation(
                    "{Subject}: call {Failed} of {Calls} failed ({Reason}); the next one is made in {Seconds:0.0} s.",
                    subject, failed, options.Calls, reason, delay.TotalSeconds);
                if (advice.After is { } after)
                    HoldBack(after);
                else
                    await Task.Delay(delay, cancellationToken).ConfigureAwait(false);
            }
        }
    }

    /// <summary>Waits until the service may be called, and a little longer by chance, so that not all who wait call at
    /// once.</summary>
    private async Task WaitForTurnAsync(CancellationToken cancellationToken)
    {
        while (Interlocked.Read(ref notBefore) - Environment.TickCount64 is > 0 and var left)
        {
            var jitter = Random.Shared.NextDouble() * Math.Min(options.FirstDelay.TotalMilliseconds, left);
            await Task.Delay(TimeSpan.FromMilliseconds(left + jitter), cancellationToken).ConfigureAwait(false);
        }
    }

    private void HoldBack(TimeSpan after)
    {
        // A millisecond more than was asked for, since clocks round.
        var until = Environment.TickCount64 + (long)Math.Ceiling(after.TotalMilliseconds) + 1;
        for (var before = Interlocked.Read(ref notBefore);
            before < until && Interlocked.CompareExchange(ref notBefore, until, before) != before;
            before = Interlocked.Read(ref notBefore))
        {
        }
    }

    private TimeSpan Delay(int failed)
    {
        var whole = Math.Min(options.FirstDelay.TotalSeconds * Math.Pow(2, failed - 1), options.LongestDelay.TotalSeconds);
        return TimeSpan.FromSeconds(whole * (1 + Random.Shared.NextDouble()) / 2);
    }

    private static string OneLine(string message) =>
        string.Join(' ', message.Split('\n', StringSplitOptions.RemoveEmptyEntries | StringSplitOptions.TrimEntries));
}
