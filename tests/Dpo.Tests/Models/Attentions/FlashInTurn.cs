using static TorchSharp.torch;

namespace Dpo.Tests;

/// <summary>What the kernel of <see cref="FlashAttention"/> computes of <see cref="FlashSequences"/>, sequence by sequence: it runs on GPUs
/// alone. A sequence's queries are its last rows.</summary>
internal sealed class FlashInTurn(SequenceLayout layout) : Attention
{
    public override Tensor Positions { get; } = tensor(layout.Positions);

    public override Tensor Attend(int layer, Tensor query, Tensor key, Tensor value, AttentionStyle style = default)
    {
        var sequences = new FlashSequences(layout);
        var rowOfKey = tensor(sequences.RowOfKey.ToArray());
        var groups = query.shape[1] / key.shape[1];
        var outputs = new List<Tensor>();
        for (var index = 0; index + 1 < sequences.QueryStarts.Count; index++)
        {
            var (first, rows) = (sequences.QueryStarts[index], sequences.QueryStarts[index + 1] - sequences.QueryStarts[index]);
            var (firstKey, columns) = (sequences.KeyStarts[index], sequences.KeyStarts[index + 1] - sequences.KeyStarts[index]);
            Assert.InRange(rows, 1, sequences.MostQueries);
            Assert.InRange(columns, rows, sequences.MostKeys);
            Tensor Keys(Tensor x) => x.index_select(0, rowOfKey.narrow(0, firstKey, columns)).transpose(0, 1).repeat_interleave(groups, 0);
            var visible = ones(rows, columns, ScalarType.Bool).tril(columns - rows);
            if (style.Window is { } window)
                visible = visible.triu(columns - rows - window + 1);
            var scores = matmul(query.narrow(0, first, rows).transpose(0, 1), Keys(key).transpose(1, 2)) * (style.Scale ?? 1 / Math.Sqrt(query.shape[2]));
            if (style.SoftCap is { } cap)
                scores = (scores / cap).tanh() * cap;
            outputs.Add(matmul(scores.masked_fill(visible.logical_not(), double.NegativeInfinity).softmax(2), Keys(value)).transpose(0, 1).flatten(1));
        }
        return cat(outputs);
    }
}
