namespace Dpo.Tests;

public class LogProbsRequestTests
{
    private static readonly LogProbsRequest[] requests =
    [
        new() { LogSquaredProbs = true }, new() { Statistics = true }, new() { ReferenceKl = true }, new() { Distributions = true },
    ];

    [Fact]
    public void Two_requests_together_ask_for_what_either_asks_for()
    {
        foreach (var one in requests)
        {
            Assert.Equal(one, one.And(LogProbsRequest.None));
            Assert.Equal(one, LogProbsRequest.None.And(one));
            foreach (var other in requests)
            {
                var both = one.And(other);
                Assert.Equal(one.LogSquaredProbs || other.LogSquaredProbs, both.LogSquaredProbs);
                Assert.Equal(one.Statistics || other.Statistics, both.Statistics);
                Assert.Equal(one.ReferenceKl || other.ReferenceKl, both.ReferenceKl);
                Assert.Equal(one.Distributions || other.Distributions, both.Distributions);
            }
        }
    }
}
