using Dpo.Layout;
using Dpo.Models;
using Dpo.Native;
using Dpo.Tokenization;
using static TorchSharp.torch;

namespace Dpo.Baselines;

/// <summary>Where a reward is read: at the last token of a completion, which sees all of it.</summary>
internal static class RewardReading
{
    /// <summary>The rewards of all completions of some examples, in order; the prompt is computed once for those of an
    /// example.</summary>
    /// <param name="model">A model with a scalar head.</param>
    /// <param name="examples">The examples.</param>
    /// <param name="padding">The id that is passed over at the end of a completion, as transformers does; null for none.</param>
    /// <returns><c>[S]</c>, fp32, of the current dispose scope.</returns>
    public static Tensor Of(TransformerModel model, IReadOnlyList<TokenizedExample> examples, int? padding)
    {
        // A layout computes no row for a completion's last token, from which nothing is predicted. Here it is wanted: each
        // completion is laid as if there were one more.
        var layout = new SequenceLayout([.. examples.Select(example =>
            new ExampleLengths(example.Prompt.Count, [.. example.Completions.Select(ids => ids.Count + 1)]))]);
        var (ids, rows) = (new List<long>(layout.RowCount), new List<long>());
        foreach (var example in examples)
        {
            var start = ids.Count;
            ids.AddRange(example.Prompt.Select(id => (long)id));
            foreach (var completion in example.Completions)
            {
                var last = Last(completion, padding);
                // Where a completion is padding alone its prompt's end is read; where that is too, its first token.
                rows.Add(last >= 0 ? ids.Count + last : start + Math.Max(Last(example.Prompt, padding), 0));
                ids.AddRange(completion.Select(id => (long)id));
            }
        }
        var hidden = model.call(DeviceCopy.Of([.. ids], model.Device), layout);
        var read = hidden.index_select(0, DeviceCopy.Of([.. rows], model.Device));
        return model.Head.Logits(read.to(float32)).squeeze(1);
    }

    /// <summary>The place of the last id that is no padding; −1 where there is none.</summary>
    private static int Last(IReadOnlyList<int> ids, int? padding)
    {
        var last = ids.Count - 1;
        while (last >= 0 && ids[last] == padding)
            last--;
        return last;
    }
}
