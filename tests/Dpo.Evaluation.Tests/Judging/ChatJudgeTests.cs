using System.Collections.Concurrent;
using System.Text.Json;
using Dpo.Evaluation.Judging;
using Dpo.Tests;
using Microsoft.Extensions.AI;
using Microsoft.Extensions.Logging;
using ChatMessage = Microsoft.Extensions.AI.ChatMessage;

namespace Dpo.Evaluation.Tests.Judging;

/// <summary>A judge behind a server, asked by OpenAI's client as a user has it.</summary>
public class ChatJudgeTests
{
    private const int Count = 12;

    [Fact]
    public async Task Every_comparison_is_asked_once_so_many_at_once_and_a_second_run_asks_nothing()
    {
        using var folder = new TemporaryFolder();
        using var server = new ChatServer(request => Worths.Fair(request) with { Delay = TimeSpan.FromMilliseconds(150) });
        var options = new JudgingOptions { Concurrency = 3, Prices = new TokenPrices(Input: 2, Output: 50) };
        var first = await Run(server, folder, options);
        Assert.Equal(Worths.Verdicts(Count), first.Verdicts);
        Assert.Equal((Count, 0, 0), (first.Asked, first.Kept, first.Unparsed));
        Assert.Equal(3, server.MostAtOnce);
        Assert.Equal(new TokenCount(Count * ChatServer.InputTokens, Count * ChatServer.OutputTokens), first.Tokens);
        Assert.Equal(Count * ((100 * 2) + (20 * 50)) / 1e6, first.Cost!.Value, 12);
        var body = server.Requests.First().Body;
        Assert.Equal(("judge-1", 0, 512), (body.GetProperty("model").GetString(), body.GetProperty("temperature").GetDouble(), body.GetProperty("max_completion_tokens").GetInt32()));

        var second = await Run(server, folder, options);
        Assert.Equal(Count, server.Requests.Count);
        Assert.Equal(Count, server.Requests.Select(request => Worths.Post(request.Text)).Distinct().Count());
        Assert.Equal(first.Verdicts, second.Verdicts);
        Assert.Equal((0, Count, first.Tokens, default, 0.0), (second.Asked, second.Kept, second.Tokens, second.NewTokens, second.NewCost));
    }

    /// <summary>A server that fails twice before each answer: with a status, with a connection that is cut within the answer, with half
    /// an answer that says it is whole, or with silence.</summary>
    [Theory]
    [InlineData("500")]
    [InlineData("429")]
    [InlineData("cut")]
    [InlineData("half")]
    [InlineData("empty")]
    [InlineData("silence")]
    public async Task What_fails_is_asked_again_and_counted_once(string failure)
    {
        using var folder = new TemporaryFolder();
        var counts = new Dictionary<string, int>();
        using var server = new ChatServer(request =>
        {
            var post = Worths.Post(request.Text);
            counts[post] = counts.GetValueOrDefault(post) + 1;
            return counts[post] == 3 ? Worths.Fair(request) : failure switch
            {
                "cut" => Worths.Fair(request) with { CutAt = 0.5 },
                "half" => Worths.Fair(request) with { CutAt = 0.5, SaysItIsWhole = true },
                "empty" => Worths.Fair(request) with { CutAt = 0, SaysItIsWhole = true },
                "silence" => Worths.Fair(request) with { Delay = TimeSpan.FromMinutes(1) },
                _ => ChatReply.Failure(int.Parse(failure)),
            };
        });
        var result = await Run(
            server, folder, new JudgingOptions { Concurrency = Count }, Worths.Quick with { Timeout = TimeSpan.FromSeconds(failure == "silence" ? 0.7 : 20) });
        Assert.Equal(Worths.Verdicts(Count), result.Verdicts);
        Assert.Equal(Count, counts.Count);
        Assert.All(counts.Values, count => Assert.Equal(3, count));
        Assert.All(result.Comparisons, judged => Assert.Equal(1, judged.Attempts));
        Assert.Equal(new TokenCount(Count * ChatServer.InputTokens, Count * ChatServer.OutputTokens), result.Tokens);
        Assert.Equal(Count, File.ReadAllLines(folder.File("verdicts.jsonl")).Length);
    }

    [Fact]
    public async Task Nobody_calls_before_the_time_that_Retry_After_names()
    {
        using var folder = new TemporaryFolder();
        using var server = new ChatServer(request => request.Number > 1
            ? Worths.Fair(request)
            : ChatReply.Failure(429) with { Header = ("Retry-After", "1") });
        var result = await Run(server, folder, new JudgingOptions { Concurrency = 2 });
        Assert.Equal(Worths.Verdicts(Count), result.Verdicts);
        Assert.Equal(Count + 1, server.Requests.Count);
        var times = server.Requests.OrderBy(request => request.Number).Select(request => request.At).ToArray();
        // The other call may have been on its way, and the one behind it.
        Assert.All(times[3..], time => Assert.True(time - times[0] >= TimeSpan.FromSeconds(1), $"A call came {(time - times[0]).TotalSeconds} s after the first."));
        Assert.True(times[^1] - times[0] < TimeSpan.FromSeconds(5));
    }

    [Fact]
    public async Task Each_wait_is_twice_the_one_before_up_to_the_longest_and_by_chance_shorter()
    {
        using var server = new ChatServer(_ => ChatReply.Failure(503));
        var log = new Waits();
        var options = Worths.Quick with { Calls = 5, FirstDelay = TimeSpan.FromMilliseconds(40), LongestDelay = TimeSpan.FromMilliseconds(200) };
        var judge = new ChatJudge(Worths.Client(server.Endpoint), Worths.Prompt, options, log);
        await Task.WhenAll(Worths.Comparisons(8).Select(one => Assert.ThrowsAsync<IOException>(() => judge.CompareAsync([one]))));
        for (var failed = 1; failed <= 4; failed++)
        {
            var whole = Math.Min(0.04 * Math.Pow(2, failed - 1), 0.2);
            double[] seconds = [.. log.Told.Where(wait => wait.Failed == failed).Select(wait => wait.Seconds)];
            Assert.Equal(8, seconds.Distinct().Count());
            Assert.All(seconds, wait => Assert.InRange(wait, whole / 2, whole));
        }
        foreach (var calls in server.Requests.GroupBy(request => request.Text))
        {
            var times = calls.Select(request => request.At).Order().ToArray();
            Assert.Equal(5, times.Length);
            // A millisecond for clocks that round.
            Assert.All(((double[])[20, 40, 80, 100]).Index(), wait => Assert.True((times[wait.Index + 1] - times[wait.Index]).TotalMilliseconds >= wait.Item - 1));
        }
    }

    [Fact]
    public async Task What_is_no_verdict_is_asked_again_then_counted_as_unparsed_and_not_as_a_tie()
    {
        using var folder = new TemporaryFolder();
        using var server = new ChatServer(request => Worths.Post(request.Text) switch
        {
            "post 0" => new ChatReply("I like both."),
            "post 1" => new ChatReply("") { Refusal = "I cannot help with that." },
            "post 2" => ChatReply.Verdict("A") with { Finish = "length" },
            "post 3" when request.Body.GetProperty("seed").GetInt32() < 9 => new ChatReply("A"),
            _ => Worths.Fair(request),
        });
        var judge = Worths.Quick with { Seed = 7 };
        var result = await Run(server, folder, judge: judge);
        Assert.Equal(3, result.Unparsed);
        Assert.Equal([null, null, null, Verdict.Win], result.Comparisons.Take(4).Select(judged => judged.Verdict));
        Assert.Equal(Worths.Verdicts(Count)[3..], result.Verdicts);
        Assert.Equal(["I like both.", "I cannot help with that."], result.Comparisons.Take(2).Select(judged => judged.Explanation));
        Assert.Equal([3, 3, 3, 3, 1], result.Comparisons.Take(5).Select(judged => judged.Attempts));
        Assert.Equal(new TokenCount(300, 60), result.Comparisons[0].Tokens);
        Assert.Equal([7, 8, 9], server.Requests.Where(request => Worths.Post(request.Text) == "post 0").OrderBy(request => request.Number).Select(request => request.Body.GetProperty("seed").GetInt32()));

        Assert.Equal(Count + 8, server.Requests.Count);
        var again = await Run(server, folder, judge: judge);
        Assert.Equal((Count + 8, 3, 0), (server.Requests.Count, again.Unparsed, again.Asked));
        Assert.Equal(result.Tokens, again.Tokens);
    }

    [Fact]
    public async Task A_refused_key_ends_the_run_at_once_and_a_right_one_goes_on_with_it()
    {
        using var folder = new TemporaryFolder();
        var isRefused = true;
        using var server = new ChatServer(request => request.Number > 5 && isRefused ? ChatReply.Failure(401) : Worths.Fair(request));
        var failure = await Assert.ThrowsAsync<IOException>(() => Run(server, folder, new JudgingOptions { Concurrency = 1 }));
        Assert.StartsWith("Comparison post 5 was not judged, since 1 calls failed, the last with: ", failure.Message);
        Assert.DoesNotContain('\n', failure.Message);
        Assert.Equal(6, server.Requests.Count);
        isRefused = false;
        var result = await Run(server, folder);
        Assert.Equal((Count - 5, 5, Count + 1), (result.Asked, result.Kept, server.Requests.Count));
        Assert.Equal(Worths.Verdicts(Count), result.Verdicts);
    }

    [Fact]
    public async Task A_server_that_goes_on_failing_ends_the_run_after_so_many_calls_and_what_was_answered_is_kept()
    {
        using var folder = new TemporaryFolder();
        using var server = new ChatServer(request => Worths.Post(request.Text) == "post 6"
            ? ChatReply.Failure(503)
            : Worths.Fair(request) with { Delay = TimeSpan.FromMilliseconds(400) });
        // Without advice the client's own exceptions are not known, and tried again.
        var failure = await Assert.ThrowsAsync<IOException>(() =>
            Run(server, folder, new JudgingOptions { Concurrency = 4 }, Worths.Quick with { Calls = 4, Advice = null }));
        Assert.StartsWith("Comparison post 6 was not judged, since 4 calls failed, the last with: ", failure.Message);
        var asked = server.Requests.GroupBy(request => Worths.Post(request.Text)).ToDictionary(group => group.Key, group => group.Count());
        Assert.Equal(4, asked["post 6"]);
        Assert.InRange(asked.Count, 7, Count - 1);
        Assert.All(asked.Where(post => post.Key != "post 6"), post => Assert.Equal(1, post.Value));
        // What was in flight beside it was waited for.
        Assert.Equal(asked.Count - 1, File.ReadAllLines(folder.File("verdicts.jsonl")).Length);
    }

    [Fact]
    public async Task A_comparison_that_a_service_will_never_answer_is_unparsed_and_the_others_go_on()
    {
        using var folder = new TemporaryFolder();
        using var server = new ChatServer(request => Worths.Post(request.Text) == "post 3" ? ChatReply.Failure(400) : Worths.Fair(request));
        var result = await Run(server, folder, judge: Worths.Quick with { Advice = _ => new RetryAdvice(RetryAction.Unanswerable) });
        Assert.Equal((1, Count), (result.Unparsed, server.Requests.Count));
        Assert.Null(result.Comparisons[3].Verdict);
        Assert.Contains("400", result.Comparisons[3].Explanation);
    }

    [Fact]
    public async Task Both_orders_undo_a_judge_s_liking_for_a_place()
    {
        using var folder = new TemporaryFolder();
        using var liking = new ChatServer(_ => ChatReply.Verdict("A"));
        var both = new JudgingOptions { BothOrders = true };
        var result = await Run(liking, folder, both);
        Assert.All(result.Comparisons, judged => Assert.Equal(
            [(ShownOrder.AsGiven, Verdict.Win), (ShownOrder.Reversed, Verdict.Loss)],
            judged.Shown.Select(shown => (shown.Order, shown.Judgement.Verdict!.Value))));
        Assert.All(result.Verdicts, verdict => Assert.Equal(Verdict.Tie, verdict));
        Assert.Equal((2 * Count, 2 * Count, Count), (liking.Requests.Count, result.Asked, result.Verdicts.Count));
        Assert.All(result.Comparisons, judged => Assert.Equal(2, judged.Attempts));

        using var fair = new ChatServer(Worths.Fair);
        using var other = new TemporaryFolder();
        Assert.Equal(Worths.Verdicts(Count), (await Run(fair, other, both)).Verdicts);
        // Those that were asked in both orders are not asked in one.
        Assert.Equal(0, (await Run(fair, other)).Asked);
    }

    [Fact]
    public async Task A_verdict_of_one_order_alone_is_none_of_both()
    {
        using var folder = new TemporaryFolder();
        using var server = new ChatServer(request => request.Text.Contains("Summary A: worth 6") ? new ChatReply("?") : Worths.Fair(request));
        var result = await Run(server, folder, new JudgingOptions { BothOrders = true });
        Assert.Equal(Worths.Verdicts(Count).Select(verdict => verdict == Verdict.Tie ? verdict : (Verdict?)null), result.Comparisons.Select(judged => judged.Verdict));
    }

    [Fact]
    public async Task One_order_is_by_chance_recorded_and_the_same_in_every_run()
    {
        const int Many = 200;
        using var folder = new TemporaryFolder();
        using var server = new ChatServer(_ => ChatReply.Verdict("A"));
        var judge = Worths.Judge(server);
        var path = folder.File("verdicts.jsonl");
        var result = await JudgingRun.RunAsync(judge, Worths.Comparisons(Many), path);
        ShownOrder[] orders = [.. result.Comparisons.Select(judged => judged.Shown.Single().Order)];
        Assert.InRange(orders.Count(order => order == ShownOrder.Reversed), 70, 130); // 100 ± 7 by chance
        // A is the second completion where it was reversed.
        Assert.Equal(orders.Select(order => order == ShownOrder.AsGiven ? Verdict.Win : Verdict.Loss), result.Verdicts);
        var recorded = File.ReadLines(path).Select(line => JsonDocument.Parse(line).RootElement)
            .ToDictionary(line => line.GetProperty("id").GetString()!, line => line.GetProperty("order").GetString());
        Assert.Equal(orders.Select(order => order == ShownOrder.AsGiven ? "as given" : "reversed"), Enumerable.Range(0, Many).Select(index => recorded[$"post {index}"]));

        // The same, whatever else is judged.
        var half = await JudgingRun.RunAsync(judge, Worths.Comparisons(Many).Skip(50).Reverse(), path);
        Assert.Equal((0, Many), (half.Asked, server.Requests.Count));
        var others = await JudgingRun.RunAsync(judge, Worths.Comparisons(Many), folder.File("others.jsonl"), new JudgingOptions { Seed = 1 });
        Assert.InRange(others.Comparisons.Zip(orders).Count(pair => pair.First.Shown[0].Order == pair.Second), 70, 130);
    }

    [Fact]
    public async Task A_run_that_is_cancelled_keeps_what_was_answered()
    {
        using var folder = new TemporaryFolder();
        using var cancel = new CancellationTokenSource();
        var isSlow = true;
        using var server = new ChatServer(request =>
        {
            if (request.Number == 7)
                _ = cancel.CancelAsync();
            return Worths.Fair(request) with { Delay = request.Number >= 7 && isSlow ? TimeSpan.FromMinutes(1) : default };
        });
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => JudgingRun.RunAsync(
            Worths.Judge(server, Worths.Quick with { Calls = 1 }), Worths.Comparisons(Count), folder.File("verdicts.jsonl"), new JudgingOptions { Concurrency = 2 },
            cancellationToken: cancel.Token));
        var kept = File.ReadAllLines(folder.File("verdicts.jsonl")).Length;
        Assert.InRange(kept, 5, 6);
        var asked = server.Requests.Count;
        Assert.InRange(asked, 7, 8);
        isSlow = false;
        var result = await Run(server, folder);
        Assert.Equal((kept, Count - kept, asked + Count - kept), (result.Kept, result.Asked, server.Requests.Count));
        Assert.Equal(Worths.Verdicts(Count), result.Verdicts);
    }

    [Fact]
    public async Task A_client_that_pays_no_heed_to_its_token_is_left_behind()
    {
        using var client = new DeafClient();
        var judge = new ChatJudge(client, Worths.Prompt, Worths.Quick with { Model = "deaf", Calls = 2, Timeout = TimeSpan.FromMilliseconds(50) });
        var failure = await Assert.ThrowsAsync<IOException>(() => judge.CompareAsync(Worths.Comparisons(1)));
        Assert.Equal("Comparison post 0 was not judged, since 2 calls failed, the last with: no answer within 0.05 s", failure.Message);
    }

    [Fact]
    public void A_client_that_does_not_say_its_model_needs_one_named()
    {
        using var client = new DeafClient();
        Assert.Contains("name it in ChatJudgeOptions.Model", Assert.Throws<ArgumentException>(() => new ChatJudge(client, Worths.Prompt)).Message);
        Assert.Equal("deaf, worth", new ChatJudge(client, Worths.Prompt, new ChatJudgeOptions { Model = "deaf" }).Name);
    }

    [Fact]
    public void Its_identity_is_all_that_it_is_asked_with()
    {
        using var client = new DeafClient();
        var options = new ChatJudgeOptions { Model = "model" };
        string Identity(ChatJudgeOptions options, JudgePrompt? prompt = null) => new ChatJudge(client, prompt ?? Worths.Prompt, options).Identity;
        string[] different =
        [
            Identity(options), Identity(options with { Model = "other" }), Identity(options with { Temperature = 0.5f }), Identity(options with { Temperature = null }),
            Identity(options with { MaxOutputTokens = 5 }), Identity(options with { Seed = 3 }), Identity(options, Worths.Prompt with { AllowsTies = false }), Identity(options, JudgePrompt.Summary),
        ];
        Assert.Equal(different.Length, different.Distinct().Count());
        Assert.Equal(different[0], Identity(options with { Attempts = 9, Calls = 9, Timeout = TimeSpan.FromSeconds(1), Advice = _ => null }));
    }

    private static Task<JudgingResult> Run(ChatServer server, TemporaryFolder folder, JudgingOptions? options = null, ChatJudgeOptions? judge = null) =>
        JudgingRun.RunAsync(Worths.Judge(server, judge), Worths.Comparisons(Count), folder.File("verdicts.jsonl"), options);

    private sealed class Waits : ILogger<ChatJudge>
    {
        public ConcurrentBag<(int Failed, double Seconds)> Told { get; } = [];

        public IDisposable? BeginScope<TState>(TState state)
            where TState : notnull => null;

        public bool IsEnabled(LogLevel logLevel) => true;

        public void Log<TState>(LogLevel logLevel, EventId eventId, TState state, Exception? exception, Func<TState, Exception?, string> formatter)
        {
            var values = ((IEnumerable<KeyValuePair<string, object?>>)state!).ToDictionary();
            Told.Add(((int)values["Failed"]!, (double)values["Seconds"]!));
        }
    }

    private sealed class DeafClient : IChatClient
    {
        public Task<ChatResponse> GetResponseAsync(IEnumerable<ChatMessage> messages, ChatOptions? options = null, CancellationToken cancellationToken = default) =>
            new TaskCompletionSource<ChatResponse>().Task;

        public IAsyncEnumerable<ChatResponseUpdate> GetStreamingResponseAsync(
            IEnumerable<ChatMessage> messages, ChatOptions? options = null, CancellationToken cancellationToken = default) => throw new NotSupportedException();

        public object? GetService(Type serviceType, object? serviceKey = null) => null;

        public void Dispose()
        {
        }
    }
}
