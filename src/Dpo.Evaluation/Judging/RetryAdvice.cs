using System.Globalization;

namespace Dpo.Evaluation.Judging;

/// <summary>What to do about a call that failed.</summary>
public enum RetryAction
{
    /// <summary>Make it again, since it may succeed then.</summary>
    Again,

    /// <summary>Make no call any more: a wrong key, a model that is not there.</summary>
    Stop,

    /// <summary>Leave this comparison alone, as one without a verdict, and go on: the service will never answer it, such as for
    /// its content.</summary>
    Unanswerable,
}

/// <summary>What to do about a call that failed, and when.</summary>
/// <param name="Action">What to do.</param>
/// <param name="After">When the service said to call again; null where it did not say. Until then no call is made at all.</param>
public sealed record RetryAdvice(RetryAction Action, TimeSpan? After = null)
{
    /// <summary>The advice for a status of HTTP: 408, 425, 429 and those from 500 on may pass, as does a call without any answer
    /// (0); others do not.</summary>
    /// <param name="status">The status.</param>
    /// <param name="retryAfter">The header <c>Retry-After</c>: seconds, or a date; null where there is none. What is neither says
    /// nothing.</param>
    public static RetryAdvice OfStatus(int status, string? retryAfter = null) => status is 0 or 408 or 425 or 429 or >= 500
        ? new(RetryAction.Again, Time(retryAfter))
        : new(RetryAction.Stop);

    /// <summary>
    /// The advice for an exception where nothing more is known of its type: <see cref="OfStatus"/> for a <see
    /// cref="HttpRequestException"/> with a status, also underneath; what the client cannot do at all stops (<see
    /// cref="InvalidInputException"/>, <see cref="NotSupportedException"/>); everything else may pass: connections that break,
    /// answers that are cut, time-outs, and exceptions of a client's own.
    /// </summary>
    /// <param name="exception">The exception.</param>
    public static RetryAdvice Of(Exception exception)
    {
        ArgumentNullException.ThrowIfNull(exception);
        if (exception is InvalidInputException or NotSupportedException)
            return new(RetryAction.Stop);
        for (Exception? inner = exception; inner is not null; inner = inner.InnerException)
        {
            if (inner is HttpRequestException { StatusCode: { } status })
                return OfStatus((int)status);
        }
        return new(RetryAction.Again);
    }

    private static TimeSpan? Time(string? retryAfter)
    {
        if (!double.TryParse(retryAfter, NumberStyles.AllowDecimalPoint, CultureInfo.InvariantCulture, out var seconds))
        {
            if (!DateTimeOffset.TryParseExact(
                retryAfter, "r", CultureInfo.InvariantCulture, DateTimeStyles.AssumeUniversal, out var date))
                return null;
            seconds = (date - DateTimeOffset.UtcNow).TotalSeconds;
        }
        // 10^6 seconds are 11 days: more than anyone waits, and within what a delay can be.
        return TimeSpan.FromSeconds(Math.Clamp(seconds, 0, 1e6));
    }
}
