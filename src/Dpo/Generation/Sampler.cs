using static TorchSharp.torch;

namespace Dpo;

/// <summary>Samples completions from a model, with a key/value cache.</summary>
public static class Sampler
{
    /// <summary>
    /// Continues every prompt until its end-of-text token or the limit. The same arguments on the same machine give the same
    /// tokens; no random state but the call's own is touched.
    /// </summary>
    /// <param name="model">The model.</param>
    /// <param name="prompts">Prompts of one token or more, of any lengths. For several samples of a prompt, give it several
    /// times.</param>
    /// <param name="maxNewTokens">The most tokens of a completion, at least 1; with the longest prompt they must fit the
    /// model's positions.</param>
    /// <param name="endOfTextId">The token that ends a completion, or null to always sample up to the limit.</param>
    /// <param name="temperature">What the logits are divided by; 0 takes the likeliest token each time.</param>
    /// <param name="seed">Seeds the draws.</param>
    /// <returns>Each prompt's completion: the new tokens only, the end-of-text token included where it was drawn.</returns>
    /// <exception cref="ArgumentException">A prompt is empty, or prompt and completion exceed the model's positions.</exception>
    public static IReadOnlyList<IReadOnlyList<int>> Sample(
        Transformer model, IReadOnlyList<IReadOnlyList<int>> prompts, int maxNewTokens, int? endOfTextId, double temperature = 1, int seed = 0)
    {
        ArgumentNullException.ThrowIfNull(model);
        ArgumentNullException.ThrowIfNull(prompts);
        ArgumentOutOfRangeException.ThrowIfLessThan(maxNewTokens, 1);
        ArgumentOutOfRangeException.ThrowIfNegative(temperature);
        var longest = prompts.Max(prompt => prompt.Count);
        if (prompts.Any(prompt => prompt.Count == 0))
            throw new ArgumentException("A prompt has no token to continue from.", nameof(prompts));
        if (longest + maxNewTokens > model.MaxPositions)
            throw new ArgumentException(
                $"A prompt of {longest} tokens and {maxNewTokens} new ones exceed the model's {model.MaxPositions} positions.", nameof(prompts));

        using var noGrad = no_grad();
        using var scope = NewDisposeScope();
        using var cache = new CachedAttention(model.LayerCount, prompts.Count, longest + maxNewTokens);
        using var generator = new Generator((ulong)seed, model.Device);
        var lengths = tensor(prompts.Select(prompt => (long)prompt.Count).ToArray(), device: model.Device);
        var hidden = Read(model, cache, prompts, longest).index_select(0, arange(prompts.Count, device: model.Device) * longest + lengths - 1);

        var completions = prompts.Select(_ => new List<int>()).ToArray();
        for (var step = 0; ; step++)
        {
            using var stepScope = NewDisposeScope();
            var next = Draw(model.Head.Logits(hidden).to(float32), temperature, generator);
            var open = false;
            foreach (var (id, completion) in next.cpu().data<long>().Zip(completions))
            {
                if (completion.Count < step || (step > 0 && completion[^1] == endOfTextId))
                    continue;
                completion.Add((int)id);
                open |= id != endOfTextId;
            }
            if (!open || step + 1 == maxNewTokens)
                return completions;

            cache.Advance(lengths + step);
            hidden = model.HiddenStates(next, cache).MoveToOuterDisposeScope();
        }
    }

    /// <summary>Runs the prompts, padded on the right to the longest, into the cache; answers with the hidden states of every
    /// cell.</summary>
    private static Tensor Read(Transformer model, CachedAttention cache, IReadOnlyList<IReadOnlyList<int>> prompts, int longest)
    {
        var cells = prompts.SelectMany(prompt => Enumerable.Range(0, longest).Select(cell => (long)prompt[Math.Min(cell, prompt.Count - 1)]));
        cache.Advance(arange(longest, device: model.Device).repeat(prompts.Count));
        return model.HiddenStates(tensor(cells.ToArray(), device: model.Device), cache);
    }

    private static Tensor Draw(Tensor logits, double temperature, Generator generator) => temperature == 0
        ? logits.argmax(1)
        : multinomial((logits / temperature).softmax(1), 1, generator: generator).squeeze(1);
}
