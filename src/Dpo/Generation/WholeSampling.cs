using Dpo.Layout;
using Dpo.Models;
using Dpo.Native;
using Dpo.Tokenization;
using static TorchSharp.torch;

namespace Dpo.Generation;

/// <summary>The sampling of one call from a model without a cache: every step computes its sequences anew, from their first token
/// on. The draws are those of <see cref="SamplingRun"/>.</summary>
internal static class WholeSampling
{
    /// <summary>Samples all.</summary>
    /// <param name="model">The model.</param>
    /// <param name="vocabularySize">Entries of its vocabulary.</param>
    /// <param name="prompts">At least one prompt; all can be continued.</param>
    /// <param name="options">How to draw and when to stop.</param>
    /// <param name="tokenizer">The model's tokenizer, or null.</param>
    /// <param name="onToken">Called for every token, or null.</param>
    /// <param name="cancellationToken">Looked at before every step.</param>
    public static SampledCompletion[] Complete(
        CausalLanguageModel model, int vocabularySize, IReadOnlyList<IReadOnlyList<int>> prompts, SamplingOptions options,
        TextTokenizer? tokenizer, Action<GeneratedToken>? onToken, CancellationToken cancellationToken)
    {
        var endOfTextIds = options.EndOfTextIds ?? tokenizer?.StopIds ?? [];
        var draw = new HostDraw(options, DrawableIds.Of(vocabularySize, tokenizer));
        var completions = new SampledCompletion[prompts.Count * options.SamplesPerPrompt];
        var waiting = new Queue<SampledSequence>(
            from prompt in prompts.Select((tokens, index) => new SampledPrompt(index, tokens))
            from sample in Enumerable.Range(0, options.SamplesPerPrompt)
            select new SampledSequence(prompt, sample, options, endOfTextIds, tokenizer, onToken));
        var running = new List<SampledSequence>();
        while (running.Count + waiting.Count > 0)
        {
            cancellationToken.ThrowIfCancellationRequested();
            while (running.Count < options.BatchSize && waiting.TryDequeue(out var next))
                running.Add(next);
            var values = Step(model, draw, running);
            for (var (place, count) = (0, running.Count); place < count; place++)
            {
                if (!double.IsFinite(values[count + place]))
                    throw Sampler.NotFinite();
                var sequence = running[place];
                if (sequence.Append((int)values[place], (float)values[count + place]))
                    completions[sequence.Index] = sequence.ToCompletion();
            }
            running.RemoveAll(sequence => completions[sequence.Index] is not null);
        }
        return completions;
    }

    /// <summary>Draws the next token of every sequence.</summary>
    /// <returns>The tokens, and behind them their log-probabilities.</returns>
    private static double[] Step(CausalLanguageModel model, HostDraw draw, List<SampledSequence> running)
    {
        using var scope = NewDisposeScope();
        var sequences = running.ConvertAll(sequence => sequence.Seen.ToArray());
        // A completion of one token, whose prediction is what the next is drawn from.
        var layout = new SequenceLayout([.. sequences.Select(tokens => new ExampleLengths(tokens.Length, [1]))]);
        var hidden = model.call(
            DeviceCopy.Of([.. sequences.SelectMany(tokens => tokens.Select(id => (long)id))], model.Device), layout);
        var rows = hidden.index_select(0, DeviceCopy.Of(layout.PredictingRows, model.Device));
        var logits = model.Head.Weight is null ? rows.to(float32) : model.Head.Logits(rows);
        return [.. draw.Draw(logits, running, last: null).data<double>()];
    }
}
