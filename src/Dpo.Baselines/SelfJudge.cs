using Dpo.Generation;
using Dpo.Models;
using Dpo.Tokenization;

namespace Dpo.Baselines;

/// <summary>A language model for a judge, such as the policy itself (self-rewarding, Yuan et al. 2024): it continues a text that
/// asks for a verdict on a completion, and a score is read out of what it writes. The mean over several verdicts is the
/// reward.</summary>
/// <param name="judge">The model; it stays the caller's to dispose. The pair's policy judges as it is in each round.</param>
/// <param name="tokenizer">Its tokenizer.</param>
/// <param name="ask">Makes of a completion the text that asks; it has <see cref="Answer.Prompt"/> and <see cref="Answer.Text"/>
/// where a tokenizer was sampled with.</param>
/// <param name="read">Reads a verdict; a finite number, for a text without a verdict too.</param>
/// <param name="sampling">How verdicts are sampled; the 3 of a completion have up to 64 tokens by default.</param>
public sealed class SelfJudge(
    CausalLanguageModel judge, TextTokenizer tokenizer, Func<Answer, string> ask, Func<string, float> read,
    SamplingOptions? sampling = null) : IReward
{
    private readonly SamplingOptions sampling = sampling ?? new() { SamplesPerPrompt = 3, MaxNewTokens = 64 };

    /// <inheritdoc/>
    public IReadOnlyList<float> Score(IReadOnlyList<Answer> answers)
    {
        ArgumentNullException.ThrowIfNull(answers);
        return
        [
            .. Sampler.Sample(judge, tokenizer, [.. answers.Select(ask)], sampling)
                .GroupBy(verdict => verdict.PromptIndex)
                .Select(verdicts => verdicts.Average(verdict => read(verdict.Text!))),
        ];
    }
}
