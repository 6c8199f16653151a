using System.ClientModel;
using System.ClientModel.Primitives;
using Dpo.Evaluation.Judging;
using Dpo.Tests;
using Microsoft.Extensions.AI;
using OpenAI;

namespace Dpo.Evaluation.Tests.Judging;

/// <summary>What the package's README shows of judges.</summary>
public class ReadmeExample
{
    private static async Task<JudgingResult> Run(string key, Uri endpoint, string file, (string Id, string Text, string Policy, string Reference)[] posts)
    {
        IChatClient client = new OpenAIClient(new ApiKeyCredential(key), new OpenAIClientOptions
        {
            Endpoint = endpoint,
            RetryPolicy = new ClientRetryPolicy(0), // the judge calls again itself, and all its calls keep to a Retry-After
        }).GetChatClient("gpt-4.1").AsIChatClient();
        var judge = new ChatJudge(client, JudgePrompt.ConciseSummary, new ChatJudgeOptions
        {
            Advice = exception => exception is not ClientResultException failure ? null : RetryAdvice.OfStatus(
                failure.Status,
                failure.GetRawResponse()?.Headers.TryGetValue("Retry-After", out var after) == true ? after : null),
        });
        var result = await JudgingRun.RunAsync(
            judge,
            posts.Select(post => new Comparison(post.Text, post.Policy, post.Reference) { Id = post.Id }),
            file, // a JSON object a line; a second run asks what is missing there, and nothing else
            new JudgingOptions { Concurrency = 8, Prices = new TokenPrices(Input: 2, Output: 8) });
        var won = result.Verdicts.Count(verdict => verdict == Verdict.Win);
        Console.WriteLine($"{won} of {result.Verdicts.Count} won, {result.Unparsed} without a verdict, for {result.NewCost:0.00}");
        return result;
    }

    [Fact]
    public void Is_the_README_s()
    {
        static string Text(string file) => File.ReadAllText(Path.Combine(AppContext.BaseDirectory, file)).ReplaceLineEndings("\n");
        var shown = Text("README.md").Split("## Judges")[1].Split("```csharp\n")[1].Split("```")[0];
        Assert.Contains(string.Concat(shown.TrimEnd().Split('\n').Select(line => line.Length > 0 ? $"        {line}\n" : "\n")), Text("ReadmeExample.cs"));
    }

    [Fact]
    public async Task Judges()
    {
        using var folder = new TemporaryFolder();
        using var server = new ChatServer(request => ChatReply.Verdict(request.Text.IndexOf("good", StringComparison.Ordinal) < request.Text.IndexOf("bad", StringComparison.Ordinal) ? "A" : "B"));
        var result = await Run("key", server.Endpoint, folder.File("verdicts.jsonl"), [("1", "post", "good", "bad"), ("2", "post", "bad", "good"), ("3", "post", "good", "bad")]);
        Assert.Equal([Verdict.Win, Verdict.Loss, Verdict.Win], result.Verdicts);
        Assert.Equal(3 * ((100 * 2) + (20 * 8)) / 1e6, result.NewCost!.Value, 12);
    }
}
