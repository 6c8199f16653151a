namespace Dpo.Samples.Tests;

public class RemainingTimeTests
{
    private static JobState State(string name, double cost, double share = 0, double? elapsed = null, params string[] after) =>
        new(new Job(name, after, cost), share, elapsed is { } seconds ? TimeSpan.FromSeconds(seconds) : null);

    private static double? Seconds(int sideBySide, params JobState[] jobs) => RemainingTime.Of(jobs, sideBySide)?.TotalSeconds;

    [Fact]
    public void Nothing_is_said_before_anything_is_known() =>
        Assert.Null(Seconds(2, State("a", 10), State("b", 10, elapsed: 3)));

    /// <summary>A cost of 10 took 20 s, so 30 more take 60 s, or half as long on two cores: 20 and 10, and 10 beside the first.</summary>
    [Fact]
    public void What_is_left_goes_at_the_pace_of_what_was_done()
    {
        JobState[] jobs = [State("a", 10, share: 1, elapsed: 20), State("b", 20), State("c", 5), State("d", 5)];
        Assert.Equal(60, Seconds(1, jobs)!.Value, 1e-9);
        Assert.Equal(40, Seconds(2, jobs)!.Value, 1e-9);
    }

    /// <summary>b may begin when a ends, 30 s from now; c is free to begin at once, on the other core.</summary>
    [Fact]
    public void A_job_waits_for_those_that_it_stands_on()
    {
        JobState[] jobs = [State("a", 20, share: 0.25, elapsed: 10), State("b", 10, after: "a"), State("c", 12)];
        // The pace is 10 s for a cost of 5.
        Assert.Equal(30 + 20, Seconds(2, jobs)!.Value, 1e-9);
        Assert.Equal(30 + 20 + 24, Seconds(1, jobs)!.Value, 1e-9);
        // What ended well, or is done already, is waited for no longer.
        Assert.Equal(20, Seconds(2, State("a", 20, share: 1, elapsed: 40), State("b", 10, after: ["a", "gone"]))!.Value, 1e-9);
    }

    /// <summary>The half that an earlier start had done took no time of this one: 20 s for a cost of 5, and for the other half of b 20 s too.</summary>
    [Fact]
    public void What_an_earlier_start_had_done_is_no_pace()
    {
        Assert.Equal(20, Seconds(1, State("a", 10, share: 1, elapsed: 20) with { Kept = 0.5 }, State("b", 5))!.Value, 1e-6);
        Assert.Equal(10, Seconds(1, State("a", 10, share: 0.75, elapsed: 10) with { Kept = 0.5 })!.Value, 1e-6);
        Assert.Null(Seconds(1, State("a", 10, share: 0.5, elapsed: 10) with { Kept = 0.5 }, State("b", 5)));
    }

    /// <summary>From a fifth on a job's own pace counts, before that all jobs' pace together: 40 s for a cost of 11.</summary>
    [Fact]
    public void A_job_that_is_under_way_goes_on_at_its_own_pace()
    {
        Assert.Equal(90, Seconds(2, State("a", 10, share: 1, elapsed: 10), State("b", 10, share: 0.25, elapsed: 30))!.Value, 1e-9);
        Assert.Equal(9 * 40 / 11.0, Seconds(2, State("a", 10, share: 1, elapsed: 10), State("b", 10, share: 0.1, elapsed: 30))!.Value, 1e-6);
    }
}
