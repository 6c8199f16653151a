using Dpo.Baselines;
using Dpo.Evaluation.Judging;
using Dpo.Tests;
using Microsoft.Extensions.Logging;

namespace Dpo.Evaluation.Tests.Judging;

public class VerdictFileTests
{
    private static readonly RewardJudge judge = new("length", new FunctionReward(answer => answer.Text!.Length));

    private static readonly Comparison[] comparisons =
        [.. Enumerable.Range(0, 5).Select(index => new Comparison("a prompt", new string('x', index), "xxx") { Id = $"{index}" })];

    [Fact]
    public async Task A_line_is_written_for_every_verdict()
    {
        using var folder = new TemporaryFolder();
        var path = folder.File("runs/verdicts.jsonl");
        await JudgingRun.RunAsync(new Fixed(new Judgement(Verdict.Loss, "Grün & \"neu\"\n2") { Attempts = 2, Tokens = new TokenCount(11, 3) }), [new Comparison("p", "a", "b") { Id = "one" }], path, new JudgingOptions { BothOrders = true });
        var lines = File.ReadAllLines(path);
        Assert.Equal(2, lines.Length);
        Assert.Matches("""^\{"digest":"[0-9a-f]{64}","judge":"fixed","id":"one","order":"as given","verdict":"loss","explanation":"Grün & \\"neu\\"\\n2","attempts":2,"input_tokens":11,"output_tokens":3\}$""", lines[0]);
        Assert.Contains("\"order\":\"reversed\",\"verdict\":\"win\"", lines[1]);
    }

    /// <summary>Whatever byte a kill ends the file at, what stands whole before it is kept, and only the rest is judged.</summary>
    [Fact]
    public async Task A_line_that_was_torn_is_cut_off_said_and_judged_again()
    {
        using var folder = new TemporaryFolder();
        var path = folder.File("verdicts.jsonl");
        await JudgingRun.RunAsync(judge, comparisons, path);
        var whole = File.ReadAllBytes(path);
        var ends = whole.Index().Where(at => at.Item == '\n').Select(at => at.Index + 1).ToArray();
        for (var length = 0; length <= whole.Length; length++)
        {
            File.WriteAllBytes(path, whole[..length]);
            var log = new KeptLog();
            var kept = ends.Count(end => end <= length);
            var result = await JudgingRun.RunAsync(judge, comparisons, path, logger: log);
            Assert.Equal((kept, 5 - kept), (result.Kept, result.Asked));
            Assert.Equal(whole, File.ReadAllBytes(path));
            Assert.Equal(
                length == 0 || ends.Contains(length) ? [] : [$"{path} ends within line {kept + 1}, which a run that was killed was writing; its comparison is judged again."],
                log.Lines);
        }
    }

    [Theory]
    [InlineData("", "is not valid JSON (line 1, byte 1).")]
    [InlineData("{\"digest\":\"x\"}", "key was not present")]
    [InlineData("[]", "is not a JSON object.")]
    [InlineData("{\"digest\":\"x\",\"id\":\"1\",\"order\":\"as given\",\"verdict\":\"won\",\"explanation\":\"\",\"attempts\":1,\"input_tokens\":0,\"output_tokens\":0}", "")]
    [InlineData("{\"digest\":\"x\",\"id\":\"1\",\"order\":\"up\",\"verdict\":\"win\",\"explanation\":\"\",\"attempts\":1,\"input_tokens\":0,\"output_tokens\":0}", "")]
    [InlineData("{\"digest\":\"x\",\"id\":\"1\",\"order\":\"reversed\",\"verdict\":\"win\",\"explanation\":\"\",\"attempts\":\"one\",\"input_tokens\":0,\"output_tokens\":0}", "")]
    public async Task A_line_that_is_no_verdict_is_refused_and_the_file_left_as_it_is(string line, string because)
    {
        using var folder = new TemporaryFolder();
        var path = folder.File("verdicts.jsonl");
        await JudgingRun.RunAsync(judge, comparisons, path);
        var lines = File.ReadAllLines(path);
        lines[2] = line;
        File.WriteAllLines(path, lines);
        var before = File.ReadAllBytes(path);
        var failure = await Assert.ThrowsAsync<InvalidInputException>(() => JudgingRun.RunAsync(judge, comparisons, path));
        Assert.Equal($"{path}, line 3, is no verdict; give another file, or take the line out, and its comparison is judged again.", failure.Message);
        Assert.Contains(because, failure.InnerException!.Message);
        Assert.Equal(before, File.ReadAllBytes(path));
        // Nobody holds it.
        lines[2] = lines[1];
        File.WriteAllLines(path, lines);
        Assert.Equal((4, 1), ((await JudgingRun.RunAsync(judge, comparisons, path)) is var result ? (result.Kept, result.Asked) : default));
    }

    [Fact]
    public async Task One_run_writes_at_a_time()
    {
        using var folder = new TemporaryFolder();
        var path = folder.File("verdicts.jsonl");
        var asked = new TaskCompletionSource<IReadOnlyList<Judgement>>();
        var first = JudgingRun.RunAsync(new Waiting(asked.Task), comparisons[..1], path);
        var failure = await Assert.ThrowsAsync<InvalidInputException>(() => JudgingRun.RunAsync(judge, comparisons, path));
        Assert.Contains("is being written to by another run", failure.Message);
        // A file beside it is another's.
        Assert.Equal(5, (await JudgingRun.RunAsync(judge, comparisons, folder.File("others.jsonl"))).Asked);
        asked.SetResult([new Judgement(null, "")]);
        await first;
        Assert.Equal(5, (await JudgingRun.RunAsync(judge, comparisons, path)).Asked);
    }

    [Fact]
    public async Task Verdicts_are_kept_by_the_judge_the_id_and_the_texts()
    {
        using var folder = new TemporaryFolder();
        var path = folder.File("verdicts.jsonl");
        // In both orders, since the order that chance takes depends on texts and id as well.
        var both = new JudgingOptions { BothOrders = true };
        Assert.Equal(10, (await JudgingRun.RunAsync(judge, comparisons, path, both)).Asked);
        async Task Asks(IJudge judge, Comparison comparison) => Assert.Equal(2, (await JudgingRun.RunAsync(judge, [comparison], path, both)).Asked);
        await Asks(judge, comparisons[0] with { Id = "other" });
        await Asks(judge, comparisons[0] with { Prompt = "other" });
        await Asks(judge, comparisons[0] with { First = "other" });
        await Asks(judge, comparisons[0] with { Second = "other" });
        await Asks(judge, comparisons[0] with { Reference = "other" });
        await Asks(new RewardJudge("other", new FunctionReward(_ => 0)), comparisons[0]);
        Assert.Equal(0, (await JudgingRun.RunAsync(judge, comparisons, path, both)).Asked);
        Assert.Equal(10 + (6 * 2), File.ReadAllLines(path).Length);
    }

    [Fact]
    public async Task Equal_comparisons_are_judged_once_unless_their_ids_differ()
    {
        using var folder = new TemporaryFolder();
        var one = new Comparison("p", "long", "no");
        Assert.Matches("^[0-9a-f]{16}$", one.Id);
        var counted = new Fixed(new Judgement(Verdict.Tie, "even") { Tokens = new TokenCount(1, 1) });
        var result = await JudgingRun.RunAsync(counted, [one, new Comparison("p", "long", "no"), one with { Id = "own" }], folder.File("verdicts.jsonl"));
        Assert.Equal((2, 3, new TokenCount(2, 2)), (result.Asked, result.Verdicts.Count, result.Tokens));
    }

    [Fact]
    public async Task A_judge_that_does_not_answer_each_is_refused()
    {
        using var folder = new TemporaryFolder();
        var failure = await Assert.ThrowsAsync<InvalidOperationException>(() =>
            JudgingRun.RunAsync(new Waiting(Task.FromResult<IReadOnlyList<Judgement>>([])), comparisons[..1], folder.File("verdicts.jsonl")));
        Assert.Equal("Waiting was given 1 comparisons and answered with 0 judgements; it must give one for each.", failure.Message);
    }

    [Fact]
    public async Task Progress_counts_questions_tokens_and_what_they_cost()
    {
        using var folder = new TemporaryFolder();
        var told = new List<JudgingProgress>();
        var options = new JudgingOptions { Concurrency = 1, Prices = new TokenPrices(1e6, 2e6) };
        var judge = new Fixed(new Judgement(null, "?") { Tokens = new TokenCount(1, 2) });
        await JudgingRun.RunAsync(judge, comparisons[..2], folder.File("verdicts.jsonl"), options);
        await JudgingRun.RunAsync(judge, comparisons[..4], folder.File("verdicts.jsonl"), options, new Teller(told));
        Assert.Equal([new JudgingProgress(3, 4, 3, new(1, 2), 5), new JudgingProgress(4, 4, 4, new(2, 4), 10)], told);
    }

    private sealed class Fixed(Judgement judgement) : IJudge
    {
        public string Name => "fixed";

        public string Identity => "fixed";

        public int BatchSize => 1;

        public Task<IReadOnlyList<Judgement>> CompareAsync(IReadOnlyList<Comparison> comparisons, CancellationToken cancellationToken = default) =>
            Task.FromResult<IReadOnlyList<Judgement>>([.. comparisons.Select(_ => judgement)]);
    }

    private sealed class Waiting(Task<IReadOnlyList<Judgement>> answer) : IJudge
    {
        public string Name => "waiting";

        public string Identity => "waiting";

        public int BatchSize => 1;

        public Task<IReadOnlyList<Judgement>> CompareAsync(IReadOnlyList<Comparison> comparisons, CancellationToken cancellationToken = default) => answer;
    }

    private sealed class Teller(List<JudgingProgress> told) : IProgress<JudgingProgress>
    {
        public void Report(JudgingProgress value) => told.Add(value);
    }

    private sealed class KeptLog : ILogger
    {
        public List<string> Lines { get; } = [];

        public IDisposable? BeginScope<TState>(TState state)
            where TState : notnull => null;

        public bool IsEnabled(LogLevel logLevel) => true;

        public void Log<TState>(LogLevel logLevel, EventId eventId, TState state, Exception? exception, Func<TState, Exception?, string> formatter) =>
            Lines.Add(formatter(state, exception));
    }
}
