using static TorchSharp.torch;

namespace Dpo;

/// <summary>Samples completions from a model, with a key/value cache.</summary>
/// <remarks>
/// <para>The same arguments on the same machine give the same completions, and no random state but the call's own is touched.
/// What decides a draw is a number that follows from the seed, the sequence and the token's place alone; sequences are numbered
/// through all prompts and their samples, so that K samples of a prompt are what the prompt given K times would have. What
/// else is computed beside a sequence (<see cref="SamplingOptions.BatchSize"/>, other prompts, those that have ended) changes its
/// logits by rounding only, which changes a token only where a draw, or a tie of greedy choice, lies that close to the border.</para>
/// <para>At <see cref="Precision.BFloat16"/> the weights are cast once a call and released at its end: memory for half the model.</para>
/// </remarks>
public static class Sampler
{
    /// <summary>Prompts are read in parts of about so many tokens, which bounds the memory of activations.</summary>
    private const int PromptTokens = 4096;

    /// <summary>Continues prompts that are tokens.</summary>
    /// <param name="model">The model. Its weights must not change meanwhile.</param>
    /// <param name="prompts">Prompts of one token or more, of any lengths.</param>
    /// <param name="options">How to draw and when to stop; the defaults where null.</param>
    /// <param name="tokenizer">The model's tokenizer, where stop strings or text are wanted. Then no id is drawn that has no
    /// token, and completions end where the model's files say.</param>
    /// <param name="onToken">Called for every token as soon as it is sampled: step by step, and within a step in the order of the
    /// result, for those of a batch that go on.</param>
    /// <param name="cancellation">Stops the sampling before its next step.</param>
    /// <returns>All samples of the first prompt, then of the next.</returns>
    /// <exception cref="InvalidInputException">A prompt has no token or one outside the vocabulary, prompt and completion exceed the
    /// model's positions, stop strings are given without a tokenizer, or the model's logits are not finite.</exception>
    /// <exception cref="ArgumentException">An option is outside its range.</exception>
    /// <exception cref="OperationCanceledException">It was stopped.</exception>
    public static IReadOnlyList<Generation> Sample(
        Transformer model, IReadOnlyList<IReadOnlyList<int>> prompts, SamplingOptions? options = null, TextTokenizer? tokenizer = null,
        Action<GeneratedToken>? onToken = null, CancellationToken cancellation = default)
    {
        ArgumentNullException.ThrowIfNull(model);
        ArgumentNullException.ThrowIfNull(prompts);
        options ??= new SamplingOptions();
        options.Validate();
        Check(model, prompts, options, tokenizer);
        var drawable = DrawableIds.Of(model.VocabularySize, tokenizer);
        var endOfText = options.EndOfTextIds ?? tokenizer?.StopIds ?? [];

        using var noGrad = no_grad();
        using var scope = NewDisposeScope();
        using var weights = new HeldWeights(model);
        var generations = new List<Generation>();
        var samplesAtOnce = Math.Min(options.SamplesPerPrompt, options.BatchSize);
        foreach (var promptsAtOnce in Enumerable.Range(0, prompts.Count).Chunk(options.BatchSize / samplesAtOnce))
        {
            var sequences = promptsAtOnce.ToDictionary(prompt => prompt, _ => new List<SampledSequence>());
            foreach (var samples in Enumerable.Range(0, options.SamplesPerPrompt).Chunk(samplesAtOnce))
            {
                var batch = promptsAtOnce.SelectMany(prompt => samples.Select(sample =>
                    new SampledSequence(prompt, sample, prompts[prompt], options, endOfText, tokenizer, onToken))).ToArray();
                IReadOnlyList<int>[] ofBatch = [.. promptsAtOnce.Select(prompt => prompts[prompt])];
                Run(model, weights.Head, ofBatch, batch, options, drawable, cancellation);
                foreach (var sequence in batch)
                    sequences[sequence.PromptIndex].Add(sequence);
            }
            generations.AddRange(sequences.Values.SelectMany(ofPrompt => ofPrompt.Select(sequence => sequence.ToGeneration())));
        }
        return generations;
    }

    /// <summary>Continues prompts that are text.</summary>
    /// <param name="model">The model. Its weights must not change meanwhile.</param>
    /// <param name="tokenizer">The model's tokenizer. Special tokens spelled in a prompt stay text; what a prompt begins with is
    /// the tokenizer's (<see cref="TextTokenizer.BeginningIds"/>), as it is in training data.</param>
    /// <param name="prompts">Prompts of one token or more, of any lengths.</param>
    /// <param name="options">How to draw and when to stop; the defaults where null.</param>
    /// <param name="onToken">Called for every token as soon as it is sampled, as in the other overload.</param>
    /// <param name="cancellation">Stops the sampling before its next step.</param>
    /// <returns>All samples of the first prompt, then of the next, each with its text.</returns>
    /// <exception cref="InvalidInputException">As in the other overload.</exception>
    /// <exception cref="ArgumentException">An option is outside its range.</exception>
    /// <exception cref="OperationCanceledException">It was stopped.</exception>
    public static IReadOnlyList<Generation> Sample(
        Transformer model, TextTokenizer tokenizer, IReadOnlyList<string> prompts, SamplingOptions? options = null,
        Action<GeneratedToken>? onToken = null, CancellationToken cancellation = default)
    {
        ArgumentNullException.ThrowIfNull(tokenizer);
        ArgumentNullException.ThrowIfNull(prompts);
        return Sample(model, [.. prompts.Select(tokenizer.EncodePrompt)], options, tokenizer, onToken, cancellation);
    }

    /// <summary>Refuses what cannot be sampled.</summary>
    internal static void Check(Transformer model, IReadOnlyList<IReadOnlyList<int>> prompts, SamplingOptions options, TextTokenizer? tokenizer)
    {
        if (options.StopStrings.Count > 0 && tokenizer is null)
            throw new InvalidInputException("Stop strings are found in text, but no tokenizer was given; give the model's.");
        foreach (var (index, prompt) in prompts.Index())
        {
            if (prompt.Count == 0)
                throw new InvalidInputException($"Prompt {index} has no token to continue from; begin it with one, such as the end-of-text token.");
            if (prompt.Where(id => id < 0 || id >= model.VocabularySize).Take(1).ToArray() is [var outside])
                throw new InvalidInputException(
                    $"Prompt {index} holds the token {outside}, but the model's vocabulary has {model.VocabularySize} entries; use the model's tokenizer.");
            if ((long)prompt.Count + options.MaxNewTokens > model.MaxPositions)
                throw new InvalidInputException(
                    $"Prompt {index} has {prompt.Count} tokens, which with {options.MaxNewTokens} new ones exceed the model's {model.MaxPositions} positions; shorten either.");
        }
    }

    /// <summary>Samples a batch to its end.</summary>
    /// <param name="model">The model.</param>
    /// <param name="head">Its head.</param>
    /// <param name="prompts">P prompts.</param>
    /// <param name="sequences">Their K completions each, prompt by prompt.</param>
    /// <param name="options">How to draw.</param>
    /// <param name="drawable">The ids that may be drawn; null for all.</param>
    /// <param name="cancellation">Looked at before every step.</param>
    private static void Run(
        Transformer model, OutputHead head, IReadOnlyList<IReadOnlyList<int>> prompts, SampledSequence[] sequences,
        SamplingOptions options, DrawableIds? drawable, CancellationToken cancellation)
    {
        using var scope = NewDisposeScope();
        var samples = sequences.Length / prompts.Count;
        using var cache = new CachedAttention(
            model.LayerCount, [.. prompts.Select(prompt => prompt.Count)], samples, options.MaxNewTokens - 1, model.Device, model.ComputeType);
        var places = new BatchPlaces(sequences, samples);
        var hidden = ReadPrompts(model, cache, prompts, cancellation).repeat_interleave(samples, 0);
        while (true)
        {
            cancellation.ThrowIfCancellationRequested();
            using var stepScope = NewDisposeScope();
            var (ids, logProbs) = places.Draw(head.Logits(hidden), options, drawable);
            if (!places.Append(ids, logProbs))
                return;
            if (places.Compact() is var (promptsKept, kept))
            {
                cache.Keep(promptsKept, kept);
                ids = [.. kept.Select(place => ids[place])];
            }
            cache.Advance();
            hidden.Dispose();
            hidden = model.HeadInputs(tensor(ids, device: model.Device), cache).MoveToOuterDisposeScope();
        }
    }

    /// <summary>Runs the prompts into the cache; answers with the hidden state of each one's last token, <c>[P, D]</c>.</summary>
    private static Tensor ReadPrompts(
        Transformer model, CachedAttention cache, IReadOnlyList<IReadOnlyList<int>> prompts, CancellationToken cancellation)
    {
        var last = new List<Tensor>();
        for (var first = 0; first < prompts.Count;)
        {
            cancellation.ThrowIfCancellationRequested();
            using var scope = NewDisposeScope();
            var tokens = 0;
            var part = prompts.Skip(first).TakeWhile((prompt, index) => (tokens += prompt.Count) <= PromptTokens || index == 0).ToArray();
            var layout = new SequenceLayout([.. part.Select(prompt => new ExampleLengths(prompt.Count, [1]))]);
            var ids = tensor(part.SelectMany(prompt => prompt.Select(id => (long)id)).ToArray(), device: model.Device);
            var hidden = model.HeadInputs(ids, new PromptAttention(model.AttentionOver(layout, model.Device), layout, cache, first));
            // A completion's first token is predicted from its prompt's last row.
            last.Add(hidden.index_select(0, tensor(layout.PredictingRows, device: model.Device)).MoveToOuterDisposeScope());
            first += part.Length;
        }
        return cat(last);
    }
}
