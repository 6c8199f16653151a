using Dpo.Layout;
using Dpo.Models;
using Dpo.Models.Attentions;
using Dpo.Native;
using static TorchSharp.torch;

namespace Dpo.Generation;

/// <summary>The completions that wait for a place, in the order of the result. Their prompts are read when they are needed,
/// several at once.</summary>
/// <param name="model">The model.</param>
/// <param name="head">Its head.</param>
/// <param name="cache">Where the prompts are kept.</param>
/// <param name="prompts">The prompts.</param>
/// <param name="samples">Completions of each.</param>
/// <param name="ahead">Prompts are read for so many completions at least.</param>
/// <param name="cancellationToken">Looked at before prompts are read.</param>
internal sealed class PromptQueue(
    TransformerModel model, OutputHead head, CachedAttention cache, IReadOnlyList<IReadOnlyList<int>> prompts, int samples,
    int ahead, CancellationToken cancellationToken)
{
    /// <summary>Prompts are read in parts of about so many tokens, which bounds the memory of activations.</summary>
    private const int PromptTokens = 4096;

    private readonly Queue<PromptInCache> read = [];
    private int readCount;

    /// <summary>Takes the next completions out.</summary>
    /// <param name="count">How many, if there are.</param>
    /// <returns>The prompt of each, and its place among the prompt's samples.</returns>
    public IReadOnlyList<(PromptInCache Prompt, int Sample)> Take(int count)
    {
        var taken = new List<(PromptInCache Prompt, int Sample)>();
        while (taken.Count < count && (read.Count > 0 || readCount < prompts.Count))
        {
            if (read.Count == 0)
                Read((Math.Max(count - taken.Count, ahead) + samples - 1) / samples);
            var prompt = read.Peek();
            taken.Add((prompt, prompt.Begun++));
            if (prompt.Begun == samples)
                read.Dequeue();
        }
        return taken;
    }

    /// <summary>Notes that a completion of a prompt has ended; with the last the prompt is given up.</summary>
    public void End(PromptInCache prompt)
    {
        if (++prompt.Ended == samples)
            cache.Prompts.Remove(prompt.Row);
    }

    private void Read(int count)
    {
        for (var end = Math.Min(prompts.Count, readCount + count); readCount < end;)
        {
            cancellationToken.ThrowIfCancellationRequested();
            using var scope = NewDisposeScope();
            var part = Part(end);
            int[] rows = [.. part.Select(prompt => cache.Prompts.Add(prompt.Count))];
            var logits = Logits(part, rows).unbind(0);
            foreach (var (index, prompt) in part.Index())
                read.Enqueue(new PromptInCache(readCount++, prompt, rows[index], logits[index].MoveToOuterDisposeScope()));
        }
    }

    /// <summary>The next prompts, one at least, of which there are about so many tokens as are read at once.</summary>
    private IReadOnlyList<int>[] Part(int end)
    {
        var (last, tokens) = (readCount + 1, prompts[readCount].Count);
        while (last < end && tokens + prompts[last].Count <= PromptTokens)
            tokens += prompts[last++].Count;
        return [.. prompts.Take(readCount..last)];
    }

    /// <summary>Runs prompts into the cache; answers with the logits behind each one's last token, <c>[P, V]</c>.</summary>
    private Tensor Logits(IReadOnlyList<int>[] part, int[] rows)
    {
        var layout = new SequenceLayout([.. part.Select(prompt => new ExampleLengths(prompt.Count, [1]))]);
        var ids = DeviceCopy.Of([.. part.SelectMany(prompt => prompt.Select(id => (long)id))], model.Device);
        using var attention = new PromptAttention(model.AttentionOver(layout, model.Device), cache.Prompts, rows);
        var hidden = model.HeadInputs(ids, attention);
        // A completion's first token is predicted from its prompt's last row.
        return head.Logits(hidden.index_select(0, DeviceCopy.Of(layout.PredictingRows, model.Device)));
    }
}
