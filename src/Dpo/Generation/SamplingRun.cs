using Dpo.Models;
using Dpo.Models.Attentions;
using Dpo.Native;
using Dpo.Tokenization;
using static TorchSharp.torch;

namespace Dpo.Generation;

/// <summary>The sampling of one call: as many completions as there are places are computed at once, and a place that becomes free
/// is taken by the next completion that waits.</summary>
/// <remarks>The host looks at a step's tokens while a GPU computes the next step, so that neither waits for the other. A
/// completion that has ended is then computed for one step more, whose token nobody takes.</remarks>
internal sealed class SamplingRun : IDisposable
{
    /// <summary>Prompts are read ahead for an eighth of the places at least.</summary>
    private const int ReadAheadDivisor = 8;

    private readonly TransformerModel model;
    private readonly SamplingOptions options;
    private readonly TextTokenizer? tokenizer;
    private readonly IReadOnlyList<int> endOfTextIds;
    private readonly Action<GeneratedToken>? onToken;
    private readonly bool onDevice;
    private readonly CancellationToken cancellationToken;
    private readonly CastWeights weights;
    private readonly CachedAttention cache;
    private readonly PromptQueue queue;
    private readonly BatchPlaces places;
    private readonly ITokenDraw draw;
    private readonly SampledCompletion[] generations;
    private DrawnTokens? drawn;

    /// <summary>Prepares it.</summary>
    /// <param name="model">The model.</param>
    /// <param name="prompts">At least one prompt; all can be continued.</param>
    /// <param name="options">How to draw and when to stop.</param>
    /// <param name="tokenizer">The model's tokenizer, or null.</param>
    /// <param name="onToken">Called for every token, or null.</param>
    /// <param name="cancellationToken">Looked at before every step.</param>
    public SamplingRun(
        TransformerModel model, IReadOnlyList<IReadOnlyList<int>> prompts, SamplingOptions options, TextTokenizer? tokenizer,
        Action<GeneratedToken>? onToken, CancellationToken cancellationToken)
    {
        (this.model, this.options, this.tokenizer, this.onToken, this.cancellationToken) = (
            model, options, tokenizer, onToken, cancellationToken);
        onDevice = DeviceStrategies.AreForSampling(model.Device);
        endOfTextIds = options.EndOfTextIds ?? tokenizer?.StopIds ?? [];
        generations = new SampledCompletion[prompts.Count * options.SamplesPerPrompt];
        var count = Math.Min(options.BatchSize, generations.Length);
        places = new BatchPlaces(count);
        var drawable = DrawableIds.Of(model.VocabularySize, tokenizer);
        draw = onDevice ? new DeviceDraw(options, drawable) : new HostDraw(options, drawable);
        weights = new CastWeights(model);
        cache = new CachedAttention(
            model.LayerCount, count, prompts.Max(prompt => prompt.Count), options.MaxNewTokens - 1, options.SamplesPerPrompt > 1,
            model.Device);
        queue = new PromptQueue(
            model, weights.Head, cache, prompts, options.SamplesPerPrompt, count / ReadAheadDivisor, cancellationToken);
    }

    /// <summary>Places that were computed, of all steps together. The first token of a completion follows from its prompt, and
    /// takes none.</summary>
    public long ComputedPlaces { get; private set; }

    /// <summary>Samples all.</summary>
    public IReadOnlyList<SampledCompletion> Complete()
    {
        using var scope = NewDisposeScope();
        Refill();
        while (places.Sequences.Count > 0)
        {
            // Which sequences reach their limit is known before their last token is.
            if (onDevice && !places.Sequences.Any(sequence => sequence!.IsFull))
            {
                using var before = drawn!;
                before.Send();
                drawn = Step(before);
                Tell(before);
                Refill();
                continue;
            }

            do
                Tell(drawn!);
            while (Refill());
            if (places.Sequences.Count > 0)
            {
                using var before = drawn!;
                drawn = Step(before);
            }
        }
        return generations;
    }

    /// <summary>Computes the next token of every place.</summary>
    private DrawnTokens Step(DrawnTokens before)
    {
        cancellationToken.ThrowIfCancellationRequested();
        using var scope = NewDisposeScope();
        cache.Advance(places.Sequences.Count);
        ComputedPlaces += places.Sequences.Count;
        var ids = before.Ids(model.Device);
        var logits = weights.Head.Logits(model.HeadInputs(ids, cache));
        return new DrawnTokens(draw.Draw(logits, places.Sequences, ids).MoveToOuterDisposeScope(), places.Sequences);
    }

    /// <summary>Adds tokens to their sequences, in the order of the result. Those that end leave their places.</summary>
    private void Tell(DrawnTokens tokens)
    {
        var values = tokens.Read();
        var count = values.Length / 2;
        int[] told = [.. Enumerable.Range(0, count).Where(place => tokens.Sequences[place] is not null)
            .OrderBy(place => tokens.Sequences[place]!.Index)];
        if (!told.All(place => double.IsFinite(values[count + place])))
            throw Sampler.NotFinite();
        foreach (var place in told)
        {
            var sequence = tokens.Sequences[place]!;
            tokens.Sequences[place] = null;
            if (!sequence.Append((int)values[place], (float)values[count + place]))
                continue;
            generations[sequence.Index] = sequence.ToCompletion();
            queue.End((PromptInCache)sequence.Prompt);
            places.End(place);
            drawn!.Sequences[place] = null;
        }
    }

    /// <summary>Gives free places to the next sequences, and draws their first tokens; places that stay free are
    /// closed.</summary>
    /// <returns>Whether a sequence has begun.</returns>
    private bool Refill()
    {
        var begun = queue.Take(places.Free);
        if (begun.Count == 0 && !places.Sequences.Contains(null))
            return false;

        using var scope = NewDisposeScope();
        SampledSequence[] sequences =
            [.. begun.Select(next => new SampledSequence(next.Prompt, next.Sample, options, endOfTextIds, tokenizer, onToken))];
        var (at, moves) = places.CloseRanks(sequences);
        if (moves.Length > 0)
            cache.Move(moves);
        var values = drawn is null ? [] : new List<Tensor> { drawn.Values };
        var of = drawn?.Sequences ?? [];
        if (begun.Count > 0)
        {
            cache.Begin(at, [.. begun.Select(next => next.Prompt.Row)]);
            values.Add(draw.Draw(stack(begun.Select(next => next.Prompt.Logits)), sequences, last: null));
            foreach (var prompt in begun.Select(next => next.Prompt).Where(prompt => prompt.Begun == options.SamplesPerPrompt))
                prompt.Logits.Dispose();
        }

        var from = Enumerable.Range(0, places.Sequences.Count).ToArray();
        foreach (var (source, target) in moves)
            from[target] = source;
        foreach (var (index, place) in at.Index())
            from[place] = of.Length + index;
        var all = of.Concat(sequences).ToArray();
        var arranged = cat(values, 1).index_select(1, DeviceCopy.Of([.. from.Select(place => (long)place)], values[0].device))
            .MoveToOuterDisposeScope();
        drawn?.Dispose();
        drawn = new DrawnTokens(arranged, from.Select(place => all[place]));
        return begun.Count > 0;
    }

    public void Dispose()
    {
        drawn?.Dispose();
        cache.Dispose();
        weights.Dispose();
    }
}
