using Dpo.Layout;
using Dpo.Models;
using Dpo.Tokenization;
using static TorchSharp.torch;

namespace Dpo.Generation;

/// <summary>Samples completions from a model: with a key/value cache from a <see cref="TransformerModel"/>; from any other each
/// step computes the sequences anew, from their first token on.</summary>
/// <remarks>
/// <para>The same arguments on the same machine give the same completions, and no random state but the call's own is touched.
/// What decides a draw is a number that follows from the seed, the sequence and the token's place alone; sequences are numbered
/// through all prompts and their samples, so that K samples of a prompt are what the prompt given K times would have. What
/// else is computed beside a sequence (<see cref="SamplingOptions.BatchSize"/>, other prompts, those that have ended before)
/// changes its logits by rounding only, which changes a token only where a draw, or a tie of greedy choice, lies that close to
/// the border.</para>
/// <para>A completion that ends leaves its place in the batch to the next that waits, of the same prompt or of another; where
/// none waits, the batch becomes smaller. So nothing is computed for those that have ended.</para>
/// <para>At <see cref="Precision.BFloat16"/> the weights are cast once a call and released at its end: memory for half the
/// model.</para>
/// </remarks>
public static class Sampler
{
    /// <summary>Continues prompts that are tokens.</summary>
    /// <param name="model">The model. Its weights must not change meanwhile.</param>
    /// <param name="prompts">Prompts of one token or more, of any lengths.</param>
    /// <param name="options">How to draw and when to stop; the defaults where null.</param>
    /// <param name="tokenizer">The model's tokenizer, where stop strings or text are wanted. Then no id is drawn that has no
    /// token, and completions end where the model's files say.</param>
    /// <param name="onToken">Called for every token as soon as it is sampled (on a GPU, a step later): step by step, and within a
    /// step in the order of the result. Completions begin in that order too, each when one before it has ended and left it a
    /// place.</param>
    /// <param name="cancellationToken">Stops the sampling before its next step.</param>
    /// <returns>All samples of the first prompt, then of the next.</returns>
    /// <exception cref="InvalidInputException">A prompt has no token or one outside the vocabulary, prompt and completion exceed
    /// the model's positions, stop strings are given without a tokenizer, or the model's logits are not finite.</exception>
    /// <exception cref="ArgumentException">An option is outside its range.</exception>
    /// <exception cref="OperationCanceledException">It was stopped.</exception>
    public static IReadOnlyList<SampledCompletion> Sample(
        CausalLanguageModel model, IReadOnlyList<IReadOnlyList<int>> prompts, SamplingOptions? options = null,
        TextTokenizer? tokenizer = null, Action<GeneratedToken>? onToken = null, CancellationToken cancellationToken = default)
    {
        ArgumentNullException.ThrowIfNull(model);
        ArgumentNullException.ThrowIfNull(prompts);
        options ??= new SamplingOptions();
        options.Validate();
        if (model is TransformerModel { IsScalar: true })
            throw new InvalidOperationException(
                "The model gives one number for a hidden state, and no logits to draw tokens by.");
        var vocabularySize = Check(model, prompts, options, tokenizer);
        if (prompts.Count == 0)
            return [];
        using var noGrad = no_grad();
        using var mode = new EvaluationMode(model);
        if (model is not TransformerModel transformer)
            return WholeSampling.Complete(model, vocabularySize, prompts, options, tokenizer, onToken, cancellationToken);
        using var run = new SamplingRun(transformer, prompts, options, tokenizer, onToken, cancellationToken);
        return run.Complete();
    }

    /// <summary>Continues prompts that are text.</summary>
    /// <param name="model">The model. Its weights must not change meanwhile.</param>
    /// <param name="tokenizer">The model's tokenizer. Special tokens spelled in a prompt stay text; what a prompt begins with is
    /// the tokenizer's (<see cref="TextTokenizer.BeginningIds"/>), as it is in training data.</param>
    /// <param name="prompts">Prompts of one token or more, of any lengths.</param>
    /// <param name="options">How to draw and when to stop; the defaults where null.</param>
    /// <param name="onToken">Called for every token as soon as it is sampled, as in the other overload.</param>
    /// <param name="cancellationToken">Stops the sampling before its next step.</param>
    /// <returns>All samples of the first prompt, then of the next, each with its text.</returns>
    /// <exception cref="InvalidInputException">As in the other overload.</exception>
    /// <exception cref="ArgumentException">An option is outside its range.</exception>
    /// <exception cref="OperationCanceledException">It was stopped.</exception>
    public static IReadOnlyList<SampledCompletion> Sample(
        CausalLanguageModel model, TextTokenizer tokenizer, IReadOnlyList<string> prompts, SamplingOptions? options = null,
        Action<GeneratedToken>? onToken = null, CancellationToken cancellationToken = default)
    {
        ArgumentNullException.ThrowIfNull(tokenizer);
        ArgumentNullException.ThrowIfNull(prompts);
        return Sample(model, [.. prompts.Select(tokenizer.EncodePrompt)], options, tokenizer, onToken, cancellationToken);
    }

    internal static InvalidInputException NotFinite() =>
        new("The model's logits are not finite numbers; its weights are damaged, or its training has diverged.");

    /// <summary>Refuses what cannot be sampled.</summary>
    /// <returns>Entries of the model's vocabulary; 0 where there is no prompt.</returns>
    internal static int Check(
        CausalLanguageModel model, IReadOnlyList<IReadOnlyList<int>> prompts, SamplingOptions options, TextTokenizer? tokenizer)
    {
        if (options.StopStrings.Count > 0 && tokenizer is null)
            throw new InvalidInputException("Stop strings are found in text, but no tokenizer was given; give the model's.");
        if (prompts.Index().FirstOrDefault(prompt => prompt.Item.Count == 0, (Index: -1, [])) is { Index: >= 0 } empty)
            throw new InvalidInputException(
                $"Prompt {empty.Index} has no token to continue from; begin it with one, such as the end-of-text token.");
        if (prompts.Count == 0)
            return 0;
        var vocabularySize = (int)VocabularyCount.Of(model, () => new ExampleLengths(prompts[0].Count, [1]));
        foreach (var (index, prompt) in prompts.Index())
        {
            if (prompt.Where(id => id < 0 || id >= vocabularySize).Take(1).ToArray() is [var outside])
                throw new InvalidInputException(
                    $"Prompt {index} holds the token {outside}, but the model's vocabulary has {vocabularySize} entries; use " +
                    "the model's tokenizer.");
            if ((long)prompt.Count + options.MaxNewTokens > model.MaxPositions)
                throw new InvalidInputException(
                    $"Prompt {index} has {prompt.Count} tokens, which with {options.MaxNewTokens} new ones exceed the model's " +
                    $"{model.MaxPositions} positions; shorten either.");
        }
        return vocabularySize;
    }
}
