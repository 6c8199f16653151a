namespace Dpo.Tests;

public class LearningRateScheduleTests
{
    [Fact]
    public void The_papers_warm_up_equals_its_code()
    {
        var fixture = Numbers.Json("losses.json").GetProperty("reference_repo").GetProperty("lr_schedule");
        var expected = fixture.GetProperty("lr_multiplier_of_update").Doubles();
        var schedule = LearningRateSchedules.Paper(fixture.GetProperty("warmup_steps").GetInt32());
        Numbers.AssertClose(expected, [.. expected.Select((_, step) => schedule(step, expected.Length))], 1e-12);
    }

    [Fact]
    public void TRLs_schedules_equal_their_formulas()
    {
        double[] Values(LearningRateSchedule schedule) => [.. Enumerable.Range(0, 8).Select(step => schedule(step, 8))];
        Numbers.AssertClose([0, 0.25, 0.5, 0.75, 1, 1, 1, 1], Values(LearningRateSchedules.TrlConstant(4)), 1e-12);
        Numbers.AssertClose([0, 0.25, 0.5, 0.75, 1, 0.75, 0.5, 0.25], Values(LearningRateSchedules.Linear(4)), 1e-12);
        var half = Math.Sqrt(0.5) / 2;
        Numbers.AssertClose([0, 0.25, 0.5, 0.75, 1, 0.5 + half, 0.5, 0.5 - half], Values(LearningRateSchedules.Cosine(4)), 1e-12);
        // Behind the end of the run, and where the warm-up takes all of it.
        Assert.Equal([0, 0, 1], [LearningRateSchedules.Linear(4)(9, 8), LearningRateSchedules.Cosine(4)(9, 8), LearningRateSchedules.Linear(8)(8, 8)]);
        foreach (var constant in new[] { LearningRateSchedules.Paper(0), LearningRateSchedules.TrlConstant(0) })
            Assert.All(Values(constant), value => Assert.Equal(1, value));
    }
}
