using Dpo.Generation;
using Dpo.Tokenization;

namespace Dpo.Baselines;

/// <summary>What a reward says of sampled completions.</summary>
internal static class Scores
{
    /// <summary>Scores them.</summary>
    /// <param name="reward">The reward.</param>
    /// <param name="prompts">Their prompts.</param>
    /// <param name="samples">All samples of the first prompt, then of the next.</param>
    /// <param name="tokenizer">What they are read as text by; null where there is none.</param>
    /// <exception cref="InvalidOperationException">The reward gave another number of scores, or one that is not
    /// finite.</exception>
    public static IReadOnlyList<float> Of(
        IReward reward, IReadOnlyList<IReadOnlyList<int>> prompts, IReadOnlyList<SampledCompletion> samples,
        TextTokenizer? tokenizer)
    {
        string?[] texts = [.. prompts.Select(prompt => tokenizer?.Decode(prompt, skipSpecial: true))];
        var scores = reward.Score([.. samples.Select(sample => new Answer
        {
            PromptIds = prompts[sample.PromptIndex], Ids = sample.Tokens, Prompt = texts[sample.PromptIndex], Text = sample.Text,
        })]);
        return scores.Count == samples.Count && scores.All(float.IsFinite) ? scores : throw new InvalidOperationException(
            $"{reward.GetType().Name} was given {samples.Count} completions and answered with {scores.Count} scores; it must " +
            "give a finite number for each.");
    }
}
