using System.Net;
using Dpo.Evaluation.Judging;

namespace Dpo.Evaluation.Tests.Judging;

public class RetryAdviceTests
{
    [Theory]
    [InlineData(0, RetryAction.Again)]
    [InlineData(400, RetryAction.Stop)]
    [InlineData(401, RetryAction.Stop)]
    [InlineData(404, RetryAction.Stop)]
    [InlineData(408, RetryAction.Again)]
    [InlineData(429, RetryAction.Again)]
    [InlineData(500, RetryAction.Again)]
    [InlineData(529, RetryAction.Again)]
    public void A_status_says_whether_to_call_again(int status, RetryAction action)
    {
        Assert.Equal(new RetryAdvice(action), RetryAdvice.OfStatus(status));
        // Also underneath a client's own exception.
        var http = new HttpRequestException("failed", null, status == 0 ? null : (HttpStatusCode)status);
        Assert.Equal(action, RetryAdvice.Of(new AggregateException("all failed", new FormatException("a client's own", http))).Action);
    }

    [Theory]
    [InlineData("20", 20.0)]
    [InlineData("0", 0.0)]
    [InlineData("1.5", 1.5)]
    [InlineData("1e9", null)]
    [InlineData("-3", null)]
    [InlineData("99999999999999999999", 1e6)]
    [InlineData("soon", null)]
    [InlineData(null, null)]
    [InlineData("Wed, 21 Oct 9015 07:28:00 GMT", null)]
    [InlineData("Sat, 21 Oct 9015 07:28:00 GMT", 1e6)]
    [InlineData("Wed, 21 Oct 2015 07:28:00 GMT", 0.0)]
    public void Retry_After_is_seconds_or_a_date(string? header, double? seconds) =>
        Assert.Equal(seconds is { } value ? TimeSpan.FromSeconds(value) : null, RetryAdvice.OfStatus(503, header).After);

    [Fact]
    public void A_date_to_come_is_the_time_up_to_it() =>
        Assert.InRange(RetryAdvice.OfStatus(429, DateTimeOffset.UtcNow.AddSeconds(100).ToString("r")).After!.Value.TotalSeconds, 95, 100);

    [Fact]
    public void What_a_client_cannot_do_at_all_stops_and_the_rest_may_pass()
    {
        Assert.Equal(RetryAction.Stop, RetryAdvice.Of(new NotSupportedException()).Action);
        Assert.Equal(RetryAction.Stop, RetryAdvice.Of(new InvalidInputException("too long")).Action);
        Assert.All<Exception>([new IOException(), new TimeoutException(), new TaskCanceledException(), new FormatException()], exception =>
            Assert.Equal(new RetryAdvice(RetryAction.Again), RetryAdvice.Of(exception)));
    }
}
