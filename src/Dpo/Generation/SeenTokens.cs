using static TorchSharp.torch;

namespace Dpo;

/// <summary>The tokens of every sequence of a batch, prompt and completion, for the repetition penalty.</summary>
internal sealed class SeenTokens : IDisposable
{
    private Tensor tokens;
    private int count;

    /// <summary>Begins with the prompts, for K sequences each.</summary>
    public SeenTokens(IReadOnlyList<IReadOnlyList<int>> prompts, int samples, int newTokens, Device device)
    {
        count = prompts.Max(prompt => prompt.Count);
        // A shorter prompt's last token fills its row up: a token that occurs twice is penalized once.
        var rows = prompts.SelectMany(prompt => Enumerable.Range(0, count + newTokens).Select(cell => (long)prompt[Math.Min(cell, prompt.Count - 1)]));
        using var scope = NewDisposeScope();
        tokens = tensor(rows.ToArray(), device: device).view(prompts.Count, -1).repeat_interleave(samples, 0).DetachFromDisposeScope();
    }

    /// <summary>Every token so far, <c>[S, T]</c>, int64.</summary>
    public Tensor Tokens => tokens.narrow(1, 0, count);

    /// <summary>Adds a token to every sequence.</summary>
    public void Append(Tensor ids) => tokens.select(1, count++).copy_(ids);

    /// <summary>Goes on with some of the sequences.</summary>
    public void Keep(IReadOnlyList<int> sequences)
    {
        using var scope = NewDisposeScope();
        var kept = tokens.index_select(0, tensor(sequences.Select(place => (long)place).ToArray(), device: tokens.device));
        tokens.Dispose();
        tokens = kept.DetachFromDisposeScope();
    }

    public void Dispose() => tokens.Dispose();
}
