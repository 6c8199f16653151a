using System.ClientModel;
using System.ClientModel.Primitives;
using System.Text.RegularExpressions;
using Dpo.Evaluation.Judging;
using Microsoft.Extensions.AI;
using OpenAI;

namespace Dpo.Evaluation.Tests.Judging;

/// <summary>Comparisons whose completions say what they are worth, and how a user asks a server about them.</summary>
internal static partial class Worths
{
    public static readonly JudgePrompt Prompt = new("worth", "Post: {prompt}\nSummary A: {first}\nSummary B: {second}") { AllowsTies = true };

    /// <summary>Patience that costs no time.</summary>
    public static readonly ChatJudgeOptions Quick = new()
    {
        FirstDelay = TimeSpan.FromMilliseconds(1),
        LongestDelay = TimeSpan.FromMilliseconds(5),
        Advice = Advice,
    };

    /// <summary>So many different comparisons, in turn won, lost and tied by the first.</summary>
    public static Comparison[] Comparisons(int count) =>
    [
        .. Enumerable.Range(0, count).Select(index => new Comparison($"post {index}", $"worth {5 + (index % 3 == 0 ? 1 : 0)}", $"worth {5 + (index % 3 == 1 ? 1 : 0)}")
        {
            Id = $"post {index}",
        }),
    ];

    /// <summary>How they end.</summary>
    public static Verdict[] Verdicts(int count) =>
        [.. Enumerable.Range(0, count).Select(index => (index % 3) switch { 0 => Verdict.Win, 1 => Verdict.Loss, _ => Verdict.Tie })];

    /// <summary>The post that a question is about.</summary>
    public static string Post(string question) => PostPattern().Match(question).Groups[1].Value;

    /// <summary>Answers as it should be answered.</summary>
    public static ChatReply Fair(ChatRequest request)
    {
        var (a, b) = (int.Parse(A().Match(request.Text).Groups[1].Value), int.Parse(B().Match(request.Text).Groups[1].Value));
        return ChatReply.Verdict(a > b ? "A" : a < b ? "B" : "tie");
    }

    /// <summary>A client of a server, which makes a call once, so that the library's patience is what is seen.</summary>
    public static IChatClient Client(Uri endpoint) => new OpenAIClient(
        new ApiKeyCredential("key"), new OpenAIClientOptions { Endpoint = endpoint, RetryPolicy = new ClientRetryPolicy(0) })
        .GetChatClient("judge-1").AsIChatClient();

    public static ChatJudge Judge(ChatServer server, ChatJudgeOptions? options = null) => new(Client(server.Endpoint), Prompt, options ?? Quick);

    private static RetryAdvice? Advice(Exception exception) => exception is not ClientResultException failure ? null
        : RetryAdvice.OfStatus(
            failure.Status, failure.GetRawResponse()?.Headers.TryGetValue("Retry-After", out var after) == true ? after : null);

    [GeneratedRegex(@"^Post: (.*)$", RegexOptions.Multiline)]
    private static partial Regex PostPattern();

    [GeneratedRegex(@"Summary A: worth (\d+)")]
    private static partial Regex A();

    [GeneratedRegex(@"Summary B: worth (\d+)")]
    private static partial Regex B();
}
