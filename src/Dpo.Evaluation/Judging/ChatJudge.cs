using System.Globalization;
using Microsoft.Extensions.AI;
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Logging.Abstractions;

namespace Dpo.Evaluation.Judging;

/// <summary>
/// A language model that is asked which of two completions is better, as the paper asks GPT-4 (Rafailov et al. 2023, section 6.2
/// and Appendix C): any behind an <see cref="IChatClient"/>, one of ours too (<see cref="DpoChatClient"/>).
/// </summary>
/// <remarks>An answer that is not in the form asked for is asked for again; where none is, the comparison has no verdict. Calls
/// that fail are made again, later each time, and not before the service said. May be called from several threads at once, as far
/// as the client may.</remarks>
public sealed class ChatJudge : IJudge
{
    private readonly IChatClient client;
    private readonly JudgePrompt prompt;
    private readonly ChatJudgeOptions options;
    private readonly string model;
    private readonly PatientCalls calls;

    /// <summary>Creates a judge.</summary>
    /// <param name="client">What is asked; not disposed with this.</param>
    /// <param name="prompt">How it is asked.</param>
    /// <param name="options">How it answers, and how patiently it is asked; the defaults where null.</param>
    /// <param name="logger">Told of every call that failed.</param>
    /// <exception cref="ArgumentException">Neither the options nor the client name a model, or an option is outside its
    /// range.</exception>
    public ChatJudge(IChatClient client, JudgePrompt prompt, ChatJudgeOptions? options = null, ILogger<ChatJudge>? logger = null)
    {
        ArgumentNullException.ThrowIfNull(client);
        ArgumentNullException.ThrowIfNull(prompt);
        (this.client, this.prompt, this.options) = (client, prompt, options ?? new ChatJudgeOptions());
        this.options.Validate();
        model = this.options.Model ?? client.GetService<ChatClientMetadata>()?.DefaultModelId ?? throw new ArgumentException(
            "The client does not say which model it asks, and verdicts are kept by that; name it in ChatJudgeOptions.Model.",
            nameof(client));
        calls = new PatientCalls(this.options, logger ?? NullLogger<ChatJudge>.Instance);
    }

    /// <inheritdoc/>
    public string Name => $"{model}, {prompt.Name}";

    /// <summary>Model, temperature, the most tokens of an answer, seed, and the prompt's words.</summary>
    public string Identity => string.Join('\n',
        "chat", model, Number(options.Temperature), Number(options.MaxOutputTokens), Number(options.Seed), prompt.Template,
        prompt.AnswerForm);

    /// <summary>1: a comparison is a question.</summary>
    public int BatchSize => 1;

    /// <inheritdoc/>
    /// <exception cref="IOException">The client failed as often as is allowed, or for good.</exception>
    public async Task<IReadOnlyList<Judgement>> CompareAsync(
        IReadOnlyList<Comparison> comparisons, CancellationToken cancellationToken = default)
    {
        ArgumentNullException.ThrowIfNull(comparisons);
        var judgements = new List<Judgement>();
        foreach (var comparison in comparisons)
            judgements.Add(await AskAsync(comparison, cancellationToken).ConfigureAwait(false));
        return judgements;
    }

    private async Task<Judgement> AskAsync(Comparison comparison, CancellationToken cancellationToken)
    {
        ChatMessage[] messages = [new(ChatRole.User, prompt.Write(comparison))];
        var tokens = default(TokenCount);
        for (var attempt = 1; ; attempt++)
        {
            var asked = new ChatOptions
            {
                ModelId = options.Model,
                Temperature = options.Temperature,
                MaxOutputTokens = options.MaxOutputTokens,
                Seed = options.Seed + attempt - 1,
            };
            var (response, refusal) = await calls.MakeAsync(
                token => client.GetResponseAsync(messages, asked, token), $"Comparison {comparison.Id}", cancellationToken)
                .ConfigureAwait(false);
            tokens += new TokenCount(response?.Usage?.InputTokenCount ?? 0, response?.Usage?.OutputTokenCount ?? 0);
            var isWhole = response is not null && response.FinishReason != ChatFinishReason.Length;
            var judgement = isWhole ? prompt.Read(response!.Text) : null;
            if (judgement is null && response is not null && attempt < options.Attempts)
                continue;
            judgement ??= new Judgement(null, refusal ?? TextOf(response!));
            return judgement with { Attempts = attempt, Tokens = tokens };
        }
    }

    /// <summary>What was answered, also where the service has marked it as a refusal.</summary>
    private static string TextOf(ChatResponse response) => response.Text.Length > 0
        ? response.Text
        : string.Join('\n', response.Messages.SelectMany(message => message.Contents).OfType<ErrorContent>()
            .Select(error => error.Message));

    private static string Number(IFormattable? value) => value?.ToString(null, CultureInfo.InvariantCulture) ?? "none";
}
