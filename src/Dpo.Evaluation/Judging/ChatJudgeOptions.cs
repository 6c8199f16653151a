namespace Dpo.Evaluation.Judging;

/// <summary>How a <see cref="ChatJudge"/> asks, and how patient it is.</summary>
public sealed record ChatJudgeOptions
{
    /// <summary>The model; null, the default, for the client's own.</summary>
    public string? Model { get; init; }

    /// <summary>The temperature, 0 by default; null leaves it to the service, as some models must have it.</summary>
    public float? Temperature { get; init; } = 0;

    /// <summary>The most tokens of an answer, 512 by default; null leaves it to the service. Models that reason need more. An
    /// answer that is cut off is no verdict.</summary>
    public int? MaxOutputTokens { get; init; } = 512;

    /// <summary>Seeds the answers of services that take a seed; each further attempt takes the next. Null for none.</summary>
    public long? Seed { get; init; }

    /// <summary>How many answers are asked for until one is a verdict; at least 1, 3 by default.</summary>
    public int Attempts { get; init; } = 3;

    /// <summary>How many calls an answer may take, all of which but the last fail; at least 1, 6 by default.</summary>
    public int Calls { get; init; } = 6;

    /// <summary>How long a call may take; two minutes by default. One that takes longer has failed.</summary>
    public TimeSpan Timeout { get; init; } = TimeSpan.FromMinutes(2);

    /// <summary>The wait after a first call that failed, where the service names none; twice as long after each further one. A
    /// second by default. Each wait is from a half to the whole of that by chance, so that calls that failed together are not
    /// made again together.</summary>
    public TimeSpan FirstDelay { get; init; } = TimeSpan.FromSeconds(1);

    /// <summary>The longest such wait; a minute by default.</summary>
    public TimeSpan LongestDelay { get; init; } = TimeSpan.FromMinutes(1);

    /// <summary>
    /// What to do about an exception of the client's; null, or an answer of null, for <see cref="RetryAdvice.Of"/>. A client's
    /// own exceptions are read here, since nothing else knows them: those of OpenAI's have a status and headers, and only so is a
    /// <c>Retry-After</c> known that their own retries have not waited for.
    /// </summary>
    public Func<Exception, RetryAdvice?>? Advice { get; init; }

    /// <summary>Refuses values outside their ranges.</summary>
    internal void Validate()
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(Attempts, 1);
        ArgumentOutOfRangeException.ThrowIfLessThan(Calls, 1);
        ArgumentOutOfRangeException.ThrowIfLessThanOrEqual(Timeout, TimeSpan.Zero);
        ArgumentOutOfRangeException.ThrowIfLessThan(FirstDelay, TimeSpan.Zero);
        ArgumentOutOfRangeException.ThrowIfLessThan(LongestDelay, FirstDelay);
    }
}
