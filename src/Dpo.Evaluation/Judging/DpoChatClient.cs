using System.Runtime.CompilerServices;
using System.Threading.Channels;
using Dpo.Generation;
using Dpo.Models;
using Dpo.Tokenization;
using Dpo.Tokenization.ChatTemplates;
using Microsoft.Extensions.AI;

namespace Dpo.Evaluation.Judging;

/// <summary>
/// A model of ours as an <see cref="IChatClient"/>: a judge that runs on this machine, or the policy in any program that talks to
/// such clients.
/// </summary>
/// <remarks>
/// <para>Of the options these are followed: <see cref="ChatOptions.Instructions"/> (a system message in front), <see
/// cref="ChatOptions.Temperature"/> (1 where it is not set), <see cref="ChatOptions.TopP"/>, <see cref="ChatOptions.TopK"/>, <see
/// cref="ChatOptions.MaxOutputTokens"/> (512 where it is not set, or what the model has positions for), <see
/// cref="ChatOptions.StopSequences"/> and <see cref="ChatOptions.Seed"/> (by chance where it is not set). Tools, penalties and
/// JSON as a format are refused, as is all but text.</para>
/// <para>An answer ends at the tokens at which the model's files have it stop, and where the chat template ends a turn; where its
/// turns have no end, before it would begin the user's next. White space at its beginning is left out.</para>
/// <para>May be called by several at once, as a model may not: calls are answered one after another, and a time-out of whoever
/// calls includes the wait. An answer is sampled on the thread that asks for it, as all work with tensors has one thread, and one
/// that is streamed on a thread beside it: nothing else may work with tensors until the stream has ended.</para>
/// </remarks>
public sealed class DpoChatClient : IChatClient
{
    private const int DefaultMaxOutputTokens = 512;

    private readonly CausalLanguageModel model;
    private readonly TextTokenizer tokenizer;
    private readonly ChatTemplate template;
    private readonly ChatClientMetadata metadata;
    private readonly int[] endIds;
    private readonly string[] nextTurn;
    private readonly SemaphoreSlim turn = new(1);

    /// <summary>Creates a client.</summary>
    /// <param name="model">The model; not disposed with this.</param>
    /// <param name="tokenizer">The model's tokenizer.</param>
    /// <param name="template">How a chat is written down for it.</param>
    /// <param name="name">What the model is known by: a <see cref="ChatJudge"/> keeps its verdicts by this, so name the
    /// checkpoint too.</param>
    /// <exception cref="InvalidInputException">The tokenizer lacks a special token that ends the template's turns.</exception>
    public DpoChatClient(CausalLanguageModel model, TextTokenizer tokenizer, ChatTemplate template, string name)
    {
        ArgumentNullException.ThrowIfNull(model);
        ArgumentNullException.ThrowIfNull(tokenizer);
        ArgumentNullException.ThrowIfNull(template);
        ArgumentException.ThrowIfNullOrEmpty(name);
        (this.model, this.tokenizer, this.template) = (model, tokenizer, template);
        metadata = new ChatClientMetadata("Dpo", defaultModelId: name);
        var end = template.End.Where(segment => segment.Kind != ChatSegmentKind.Text).Take(1).ToArray();
        endIds = [.. tokenizer.StopIds.Concat(tokenizer.Encode(end)).Distinct()];
        var header = template.End.Count == 0 ? template.Header(Data.ChatMessage.User) : [];
        nextTurn = header is [{ Kind: ChatSegmentKind.Text, Text: var begins }] ? [begins] : [];
    }

    /// <summary>Answers a chat.</summary>
    /// <param name="messages">The messages, of roles that the chat template knows; one or more.</param>
    /// <param name="options">How to answer; the defaults where null.</param>
    /// <param name="cancellationToken">Ends it, also while it waits for its turn.</param>
    /// <exception cref="InvalidInputException">The template has no such role, or the chat does not fit the model.</exception>
    /// <exception cref="NotSupportedException">Something is asked for that a model of ours does not do.</exception>
    public async Task<ChatResponse> GetResponseAsync(
        IEnumerable<ChatMessage> messages, ChatOptions? options = null, CancellationToken cancellationToken = default)
    {
        var (prompt, sampling) = (Prompt(messages, options), Sampling(options));
        sampling = Fit(sampling, options, prompt.Count);
        await turn.WaitAsync(cancellationToken).ConfigureAwait(false);
        try
        {
            var completion = Sample(prompt, sampling, onToken: null, cancellationToken);
            return new ChatResponse(new ChatMessage(ChatRole.Assistant, completion.Text!.TrimStart()))
            {
                ModelId = metadata.DefaultModelId,
                FinishReason = ReasonOf(completion),
                Usage = UsageOf(prompt, completion),
            };
        }
        finally
        {
            turn.Release();
        }
    }

    /// <summary>Answers a chat piece by piece.</summary>
    /// <param name="messages">The messages, of roles that the chat template knows; one or more.</param>
    /// <param name="options">How to answer; the defaults where null.</param>
    /// <param name="cancellationToken">Ends it, also while it waits for its turn; so does no longer asking for the next
    /// piece.</param>
    /// <returns>Pieces of text as they become certain, then one with the usage and why it ended. Together they are what <see
    /// cref="GetResponseAsync"/> answers.</returns>
    /// <exception cref="InvalidInputException">The template has no such role, or the chat does not fit the model.</exception>
    /// <exception cref="NotSupportedException">Something is asked for that a model of ours does not do.</exception>
    public async IAsyncEnumerable<ChatResponseUpdate> GetStreamingResponseAsync(
        IEnumerable<ChatMessage> messages, ChatOptions? options = null,
        [EnumeratorCancellation] CancellationToken cancellationToken = default)
    {
        var (prompt, sampling) = (Prompt(messages, options), Sampling(options));
        sampling = Fit(sampling, options, prompt.Count);
        await turn.WaitAsync(cancellationToken).ConfigureAwait(false);
        try
        {
            using var end = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken);
            var pieces = Channel.CreateUnbounded<string>();
            var sampled = Task.Run(() =>
            {
                try
                {
                    return Sample(prompt, sampling, token => pieces.Writer.TryWrite(token.Text), end.Token);
                }
                finally
                {
                    pieces.Writer.Complete();
                }
            }, CancellationToken.None);
            try
            {
                var id = Guid.NewGuid().ToString("N");
                ChatResponseUpdate Update(AIContent content) => new(ChatRole.Assistant, [content])
                {
                    ModelId = metadata.DefaultModelId,
                    ResponseId = id,
                    MessageId = id,
                };

                var hasBegun = false;
                await foreach (var piece in pieces.Reader.ReadAllAsync(CancellationToken.None).ConfigureAwait(false))
                {
                    var text = hasBegun ? piece : piece.TrimStart();
                    hasBegun |= text.Length > 0;
                    if (text.Length > 0)
                        yield return Update(new TextContent(text));
                }
                var completion = await sampled.ConfigureAwait(false);
                var last = Update(new UsageContent(UsageOf(prompt, completion)));
                last.FinishReason = ReasonOf(completion);
                yield return last;
            }
            finally
            {
                // Whoever asks for no more pieces ends the sampling; the next call's turn comes when it has ended.
                await end.CancelAsync().ConfigureAwait(false);
                await ((Task)sampled).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
            }
        }
        finally
        {
            turn.Release();
        }
    }

    /// <inheritdoc/>
    public object? GetService(Type serviceType, object? serviceKey = null)
    {
        ArgumentNullException.ThrowIfNull(serviceType);
        return serviceKey is not null ? null
            : serviceType == typeof(ChatClientMetadata) ? metadata
            : serviceType.IsInstanceOfType(this) ? this : null;
    }

    /// <summary>Ends nothing but this; the model stays.</summary>
    public void Dispose() => turn.Dispose();

    private SampledCompletion Sample(
        IReadOnlyList<int> prompt, SamplingOptions sampling, Action<GeneratedToken>? onToken,
        CancellationToken cancellationToken) =>
        Sampler.Sample(model, [prompt], sampling, tokenizer, onToken, cancellationToken)[0];

    private IReadOnlyList<int> Prompt(IEnumerable<ChatMessage> messages, ChatOptions? options)
    {
        ArgumentNullException.ThrowIfNull(messages);
        var chat = messages.Select(message => new Data.ChatMessage(message.Role.Value, TextOf(message))).ToList();
        if (chat.Count == 0)
            throw new ArgumentException("A chat without a message has nothing to answer.", nameof(messages));
        if (options?.Instructions is { } instructions)
            chat.Insert(0, new Data.ChatMessage(ChatRole.System.Value, instructions));
        return tokenizer.EncodePrompt(template.Render(chat, generationPrompt: true));
    }

    private static string TextOf(ChatMessage message) =>
        message.Contents.FirstOrDefault(content => content is not TextContent) is { } other
            ? throw new NotSupportedException($"A model of Dpo's reads text; a message has {other.GetType().Name}.")
            : message.Text;

    private SamplingOptions Sampling(ChatOptions? options)
    {
        var refused = options switch
        {
            { Tools.Count: > 0 } => nameof(options.Tools),
            { FrequencyPenalty: not (null or 0) } => nameof(options.FrequencyPenalty),
            { PresencePenalty: not (null or 0) } => nameof(options.PresencePenalty),
            { ResponseFormat: ChatResponseFormatJson } => nameof(options.ResponseFormat),
            _ => null,
        };
        if (refused is not null)
            throw new NotSupportedException($"A model of Dpo's cannot follow ChatOptions.{refused}; leave it unset.");
        var seed = options?.Seed ?? Random.Shared.Next();
        return new SamplingOptions
        {
            Temperature = options?.Temperature ?? 1,
            TopP = options?.TopP ?? 1,
            TopK = options?.TopK,
            StopStrings = [.. options?.StopSequences ?? [], .. nextTurn],
            EndOfTextIds = endIds,
            Seed = (int)(seed ^ (seed >> 32)),
        };
    }

    /// <summary>Where nobody says how long an answer may be, it may take what positions are left, up to the default.</summary>
    private SamplingOptions Fit(SamplingOptions sampling, ChatOptions? options, int promptLength) => sampling with
    {
        MaxNewTokens = options?.MaxOutputTokens
            ?? Math.Max(1, Math.Min(DefaultMaxOutputTokens, model.MaxPositions - promptLength)),
    };

    private static ChatFinishReason ReasonOf(SampledCompletion completion) =>
        completion.StopReason == StopReason.Length ? ChatFinishReason.Length : ChatFinishReason.Stop;

    private static UsageDetails UsageOf(IReadOnlyList<int> prompt, SampledCompletion completion) => new()
    {
        InputTokenCount = prompt.Count,
        OutputTokenCount = completion.Tokens.Count,
        TotalTokenCount = prompt.Count + completion.Tokens.Count,
    };
}
