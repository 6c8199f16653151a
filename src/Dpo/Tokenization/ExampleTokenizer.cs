using Dpo.Data;
using Dpo.Tokenization.ChatTemplates;

namespace Dpo.Tokenization;

/// <summary>
/// Turns examples into token ids, as the paper's code does: prompt and completions are tokenized apart, so that the prompt's
/// ids are the same in front of every completion; the end-of-text token is put behind every completion once; a prompt begins with
/// what the model's tokenizer puts there (<see cref="TextTokenizer.BeginningIds"/>: nothing for GPT-2, <c>&lt;s&gt;</c> for
/// Llama); special tokens spelled in the text stay text.
/// </summary>
/// <remarks>
/// <para>An example is too long where its prompt and the longest of its completions, end of text included, exceed
/// <see cref="MaxLength"/> together. The paper's rule (<see cref="Truncation.PaperKeepPromptEnd"/> and
/// <see cref="Truncation.PaperKeepPromptStart"/>) then cuts the prompt to <see cref="MaxPromptLength"/>, and where that is not
/// enough, every completion to <c>MaxLength − MaxPromptLength</c> tokens. What a prompt begins with is kept where it is
/// cut.</para>
/// <para>A conversation (<see cref="PreferenceExample.Conversation"/>) is written down by <see cref="ChatTemplate"/>: the prompt
/// up to where the assistant's turn is opened, completions with what ends the turn, as TRL does. The end-of-text token is put
/// behind them only where the template has nothing of its own there.</para>
/// <para><see cref="Truncation.KeepStart"/> keeps the first <see cref="MaxLength"/> ids of the prompt followed by each
/// completion, and drops an example whose prompt alone has that many. TRL tokenizes prompt and completion as one string and
/// slices; the ids are the same unless a token straddles the boundary.</para>
/// <para><see cref="Truncation.Drop"/> cuts nothing and drops an example that is too long.</para>
/// </remarks>
public sealed class ExampleTokenizer
{
    private const string EmptyPrompt = "empty prompt";
    private const string UnknownRole = "a role that the chat template has no place for";
    private const string PromptTooLong = "prompt too long";
    private const string CompletionTooLong = "completion too long";
    private const string CutToIdentical = "identical completions after truncation";
    private const string Identical = "identical completions as tokens";

    private readonly string? beginning;

    /// <summary>Creates a tokenizer of examples.</summary>
    /// <param name="tokenizer">The model's tokenizer.</param>
    /// <param name="maxLength">See <see cref="MaxLength"/>.</param>
    /// <param name="maxPromptLength">See <see cref="MaxPromptLength"/>.</param>
    /// <param name="truncation">See <see cref="Truncation"/>.</param>
    /// <param name="chatTemplate">See <see cref="ChatTemplate"/>.</param>
    /// <exception cref="InvalidInputException">The lengths leave no room for a prompt or a completion.</exception>
    public ExampleTokenizer(
        TextTokenizer tokenizer,
        int maxLength = 512,
        int maxPromptLength = 256,
        Truncation truncation = Truncation.PaperKeepPromptEnd,
        ChatTemplate? chatTemplate = null)
    {
        ArgumentNullException.ThrowIfNull(tokenizer);
        if (maxLength < 2)
        {
            throw new InvalidInputException(
                $"The maximum length is {maxLength}, but it must be at least 2: one token of prompt and one of completion.");
        }
        if (truncation is (Truncation.PaperKeepPromptEnd or Truncation.PaperKeepPromptStart)
            && (maxPromptLength < 1 || maxPromptLength >= maxLength))
        {
            throw new InvalidInputException(
                $"The maximum prompt length is {maxPromptLength}, but it must be from 1 to {maxLength - 1}, one less than the " +
                "maximum length, so that completions keep some tokens.");
        }
        Tokenizer = tokenizer;
        beginning = tokenizer.BeginningIds.Count == 0 ? null : tokenizer.Decode(tokenizer.BeginningIds);
        MaxLength = maxLength;
        MaxPromptLength = maxPromptLength;
        Truncation = truncation;
        ChatTemplate = chatTemplate;
    }

    /// <summary>The model's tokenizer.</summary>
    public TextTokenizer Tokenizer { get; }

    /// <summary>The most tokens that a prompt and one completion may have together; 512 in the paper's code.</summary>
    public int MaxLength { get; }

    /// <summary>The length to which the paper's rule cuts the prompt of an example that is too long; 256 in the paper's
    /// code. <see cref="Truncation.KeepStart"/> and <see cref="Truncation.Drop"/> do not use it.</summary>
    public int MaxPromptLength { get; }

    /// <summary>What is cut where an example is too long.</summary>
    public Truncation Truncation { get; }

    /// <summary>How conversations are written down; null, the default, for data without any. Examples of plain text are not
    /// touched by it.</summary>
    public ChatTemplate? ChatTemplate { get; }

    /// <summary>Tokenizes examples one by one as they are asked for; those that are dropped are left out.</summary>
    /// <param name="examples">Prompts and their completions.</param>
    /// <param name="report">Counts the rows of those that are dropped.</param>
    /// <exception cref="InvalidInputException">While they are asked for, as for one example.</exception>
    public IEnumerable<TokenizedExample> Tokenize(IEnumerable<PreferenceExample> examples, DataReport report)
    {
        ArgumentNullException.ThrowIfNull(examples);
        ArgumentNullException.ThrowIfNull(report);
        return examples.Select(example => Tokenize(example, report)).OfType<TokenizedExample>();
    }

    /// <summary>Tokenizes an example.</summary>
    /// <param name="example">A prompt and its completions.</param>
    /// <param name="report">Counts the example's rows where it is dropped.</param>
    /// <exception cref="InvalidInputException">The example is a conversation and there is no chat template, or the tokenizer
    /// lacks a special token of it.</exception>
    /// <returns>The ids; null where the prompt has no token, not even a beginning of text, so that nothing predicts the first
    /// token of a completion, or where the prompt alone is too long under <see cref="Truncation.KeepStart"/>, or anything is
    /// under <see cref="Truncation.Drop"/>, or where truncation leaves no difference between the completions. Of several pairs
    /// those without a difference are left out.</returns>
    public TokenizedExample? Tokenize(PreferenceExample example, DataReport report)
    {
        ArgumentNullException.ThrowIfNull(example);
        ArgumentNullException.ThrowIfNull(report);
        report.Meet(example);
        var isFirst = report.IsFirst(example.Mark, this);
        TokenizedExample? Drop(string reason)
        {
            if (isFirst)
                report.Drop(reason, example.Source, example.RowCount);
            return null;
        }
        if (example.Conversation is { } chat
            && ChatTemplate?.Knows(chat.Completions.SelectMany(messages => messages).Concat(chat.Prompt)) == false)
            return Drop(UnknownRole);
        var encoded = Encode(example);
        report.BeginningOfText ??= beginning;
        if (FaultOf(encoded.Prompt, encoded.Completions) is { } fault)
            return Drop(fault);

        var (prompt, completions) = Cut(encoded.Prompt, encoded.Completions);
        var cut = Tokens(encoded.Prompt, encoded.Completions) - Tokens(prompt, completions);
        PreferencePair[] pairs =
            [.. example.Pairs.Where(pair => !completions[pair.Chosen].SequenceEqual(completions[pair.Rejected]))];
        var lost = LostRows(example, pairs.Length);
        if (lost > 0 && isFirst)
            report.Drop(cut > 0 ? CutToIdentical : Identical, example.Source, lost);
        if (lost == example.RowCount)
            return null;
        if (isFirst)
            report.CountCut(cut, example.RowCount - lost);
        return new TokenizedExample(prompt, completions, lost > 0 ? pairs : example.Pairs)
        {
            Ranking = example.Ranking,
            Scores = example.Scores,
            Labels = example.Labels,
            Source = example.Source,
        };
    }

    /// <summary>Why ids cannot be trained on; null where they can, once they are cut.</summary>
    private string? FaultOf(IReadOnlyList<int> prompt, IReadOnlyList<int>[] completions) =>
        prompt.Count == 0 ? EmptyPrompt
        : Truncation is Truncation.KeepStart or Truncation.Drop && prompt.Count >= MaxLength ? PromptTooLong
        : Truncation == Truncation.Drop && IsTooLong(prompt, completions) ? CompletionTooLong
        : null;

    private bool IsTooLong(IReadOnlyList<int> prompt, IReadOnlyList<int>[] completions) =>
        prompt.Count + completions.Max(completion => completion.Count) > MaxLength;

    private (IReadOnlyList<int> Prompt, IReadOnlyList<int>[] Completions) Cut(
        IReadOnlyList<int> prompt, IReadOnlyList<int>[] completions)
    {
        var keepStart = Truncation == Truncation.KeepStart;
        if (!keepStart && IsTooLong(prompt, completions))
            prompt = CutPrompt(prompt);
        if (!IsTooLong(prompt, completions))
            return (prompt, completions);
        var room = MaxLength - (keepStart ? prompt.Count : MaxPromptLength);
        return (prompt, [.. completions.Select(ids => ids.Count <= room ? ids : [.. ids.Take(room)])]);
    }

    private static int Tokens(IReadOnlyList<int> prompt, IReadOnlyList<int>[] completions) =>
        prompt.Count + completions.Sum(completion => completion.Count);

    /// <summary>How many rows of an example have nothing to teach, where so many of its pairs are left. Of a ranking or scores
    /// nothing can be left out.</summary>
    private static int LostRows(PreferenceExample example, int pairs) =>
        pairs == example.Pairs.Count ? 0
        : pairs == 0 || example.Ranking is not null || example.Scores is not null ? example.RowCount
        : example.Pairs.Count - pairs;

    private (IReadOnlyList<int> Prompt, IReadOnlyList<int>[] Completions) Encode(PreferenceExample example)
    {
        if (example.Conversation is not { } conversation)
        {
            return (
                Tokenizer.EncodePrompt(example.Prompt),
                [.. example.Completions.Select(
                    text => (int[])[.. Tokenizer.Encode(text, continues: true), Tokenizer.EndOfTextId])]);
        }
        var template = ChatTemplate ?? throw new InvalidInputException(
            $"{example.Source ?? "An example"}: the example holds the messages of a chat; name the chat template that the " +
            "model was trained with.");
        int[] end = template.EndsTurns ? [] : [Tokenizer.EndOfTextId];
        return (
            Tokenizer.EncodePrompt(template.Render(conversation.Prompt, generationPrompt: true)),
            [.. conversation.Completions.Select(
                messages => (int[])[.. Tokenizer.Encode(template.RenderCompletion(messages), continues: true), .. end])]);
    }

    private IReadOnlyList<int> CutPrompt(IReadOnlyList<int> ids)
    {
        if (ids.Count <= MaxPromptLength)
            return ids;
        if (Truncation == Truncation.PaperKeepPromptStart)
            return [.. ids.Take(MaxPromptLength)];
        // A model that was trained with a token in front of every text is lost without it.
        var begin = Tokenizer.BeginsAsAsked(ids) ? Math.Min(Tokenizer.BeginningIds.Count, MaxPromptLength) : 0;
        return [.. ids.Take(begin), .. ids.Skip(ids.Count - MaxPromptLength + begin)];
    }
}
