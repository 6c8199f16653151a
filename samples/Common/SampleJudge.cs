using System.ClientModel;
using System.ClientModel.Primitives;
using Dpo.Baselines;
using Dpo.Evaluation.Judging;
using Dpo.Evaluation.Reporting;
using Microsoft.Extensions.AI;
using OpenAI;

namespace Dpo.Samples;

/// <summary>Who judges completions in a program, and what they are compared with.</summary>
internal sealed class SampleJudge : IDisposable
{
    private const string NoKey = "none"; // many a service of one's own asks for none, and the client for some

    private readonly IDisposable? model;

    private SampleJudge(IJudge judge, string worth, bool againstChosen, bool againstRejected, IDisposable? model = null) =>
        (Judge, Worth, AgainstChosen, AgainstRejected, this.model) = (judge, worth, againstChosen, againstRejected, model);

    /// <summary>The judge.</summary>
    public IJudge Judge { get; }

    /// <summary>What it goes by, and what its verdicts are worth.</summary>
    public string Worth { get; }

    /// <summary>Whether completions are compared with the chosen one.</summary>
    public bool AgainstChosen { get; }

    /// <summary>Whether completions are compared with the rejected one.</summary>
    public bool AgainstRejected { get; }

    /// <summary>Whether a person named it, rather than took what there is.</summary>
    public bool IsNamed => Judge is ChatJudge || model is not null;

    /// <summary>How many questions are asked at once: a model on this machine takes one.</summary>
    public JudgingOptions Options => new() { Concurrency = Judge is ChatJudge ? 8 : 1 };

    /// <summary>The judge that was asked for; by default one that knows generated data, and of others their likeness to the
    /// chosen completion.</summary>
    /// <param name="settings">What was asked for.</param>
    /// <param name="prompt">What a language model is asked.</param>
    /// <param name="facts">What is known of the prompts; null for those of a file.</param>
    /// <exception cref="InvalidInputException">The reward model cannot be loaded.</exception>
    public static SampleJudge Of(TrainingSettings settings, JudgePrompt prompt, KnownFacts? facts) => settings.WinRates switch
    {
        { Endpoint: { } endpoint, Model: { } name } => new(
            Chat(endpoint, name, prompt),
            $"{name} at {endpoint}, asked as the paper asks GPT-4 ({prompt.Name}).", againstChosen: true, againstRejected: false),
        { Reward: { } folder } => Reward(folder, settings),
        _ when facts is not null => new(
            new RewardJudge(facts.Name, new FunctionReward(answer => (float)facts.Score(answer.Prompt!, answer.Text!))),
            facts.Worth, againstChosen: true, againstRejected: facts.IsCeiling),
        _ => new(
            new ReferenceJudge("ROUGE-L to the chosen completion", TextOverlap.RougeL),
            "The completion that has more words in common with the chosen one, in its order (ROUGE-L), wins. The chosen one " +
            "itself could not be beaten, so completions are compared with the rejected one. It knows nothing of truth, use or " +
            "manners: take it for a sign of learning, and a language model (--judge-endpoint) for a judge.",
            againstChosen: false, againstRejected: true),
    };

    /// <summary>Frees the reward model, where there is one.</summary>
    public void Dispose() => model?.Dispose();

    private static ChatJudge Chat(Uri endpoint, string name, JudgePrompt prompt)
    {
        var key = Environment.GetEnvironmentVariable("OPENAI_API_KEY") is { Length: > 0 } given ? given : NoKey;
        var client = new OpenAIClient(new ApiKeyCredential(key), new OpenAIClientOptions
        {
            Endpoint = endpoint,
            RetryPolicy = new ClientRetryPolicy(0), // the judge calls again itself
        }).GetChatClient(name).AsIChatClient();
        return new ChatJudge(client, prompt, new ChatJudgeOptions
        {
            Advice = exception => exception is not ClientResultException failure ? null : RetryAdvice.OfStatus(
                failure.Status,
                failure.GetRawResponse()?.Headers.TryGetValue("Retry-After", out var after) == true ? after : null),
        });
    }

    private static SampleJudge Reward(string folder, TrainingSettings settings)
    {
        var reward = RewardModel.Load(folder, settings.Device, TextTokenizer.Load(folder));
        return new(
            new RewardJudge($"reward model {RunRecord.DigestOf(reward.Model)[..8]}", reward),
            $"The reward model of {folder}.", againstChosen: true, againstRejected: true, reward);
    }
}
