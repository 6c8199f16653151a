using System.Globalization;
using Dpo.Baselines;
using Dpo.Tokenization;

namespace Dpo.Evaluation.Judging;

/// <summary>A reward as a judge: the completion with the higher one is better. A reward model, a classifier, or a function of
/// text; offline.</summary>
/// <remarks>Rewards are computed on the thread that calls, and one call at a time.</remarks>
public sealed class RewardJudge : IJudge
{
    private readonly IReward reward;
    private readonly TextTokenizer? tokenizer;
    private readonly double margin;

    /// <summary>Creates a judge.</summary>
    /// <param name="name">What the reward is known by: verdicts are kept by this name, so another reward needs another.</param>
    /// <param name="reward">What scores completions; not disposed with this.</param>
    /// <param name="tokenizer">What turns texts into the ids that some rewards read, with <see cref="TextTokenizer.EndOfTextId"/>
    /// behind each completion. Null for rewards that read text alone, such as functions of it and a <see cref="RewardModel"/>
    /// that has a tokenizer of its own: they are given no ids.</param>
    /// <param name="margin">Rewards that differ by this or less are a tie; 0 or more.</param>
    public RewardJudge(string name, IReward reward, TextTokenizer? tokenizer = null, double margin = 0)
    {
        ArgumentException.ThrowIfNullOrEmpty(name);
        ArgumentNullException.ThrowIfNull(reward);
        ArgumentOutOfRangeException.ThrowIfNegative(margin);
        (Name, this.reward, this.tokenizer, this.margin) = (name, reward, tokenizer, margin);
    }

    /// <inheritdoc/>
    public string Name { get; }

    /// <summary>The name and the margin.</summary>
    public string Identity => string.Create(CultureInfo.InvariantCulture, $"reward\n{Name}\n{margin:R}");

    /// <summary>64.</summary>
    public int BatchSize => 64;

    /// <inheritdoc/>
    /// <exception cref="InvalidOperationException">The reward gave another number of scores, or one that is not
    /// finite.</exception>
    public Task<IReadOnlyList<Judgement>> CompareAsync(
        IReadOnlyList<Comparison> comparisons, CancellationToken cancellationToken = default)
    {
        ArgumentNullException.ThrowIfNull(comparisons);
        cancellationToken.ThrowIfCancellationRequested();
        Answer[] answers =
            [.. comparisons.SelectMany(one => (string[])[one.First, one.Second], (one, text) => Of(one.Prompt, text))];
        var scores = reward.Score(answers);
        if (scores.Count != answers.Length || !scores.All(float.IsFinite))
            throw new InvalidOperationException(
                $"{reward.GetType().Name} was given {answers.Length} completions and answered with {scores.Count} scores; it " +
                "must give a finite number for each.");
        return Task.FromResult<IReadOnlyList<Judgement>>(
            [.. scores.Chunk(2).Select(pair => Judgement.Of(pair[0], pair[1], margin))]);
    }

    private Answer Of(string prompt, string completion) => new()
    {
        PromptIds = tokenizer?.EncodePrompt(prompt) ?? [],
        Ids = tokenizer is null ? [] : [.. tokenizer.Encode(completion, continues: true), tokenizer.EndOfTextId],
        Prompt = prompt,
        Text = completion,
    };
}
