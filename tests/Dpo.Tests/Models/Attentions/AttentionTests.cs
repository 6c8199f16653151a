using CsCheck;
using static TorchSharp.torch;

namespace Dpo.Tests;

/// <summary>Every strategy against attention written out over all pairs of rows.</summary>
public class AttentionTests
{
    private const int HeadSize = 4;

    private static readonly int[] Windows = [1, 3, 6, 50];

    private static readonly Gen<ExampleLengths> Example =
        from prompt in Gen.Int[1, 9]
        from completions in Gen.Int[1, 7].Array[0, 4]
        select new ExampleLengths(prompt, completions);

    private static readonly Gen<AttentionStyle> Style =
        from scale in OneOf<double?>(null, 0.3, 1)
        from softCap in OneOf<double?>(null, 0.8, 5)
        from window in OneOf([null, .. Windows.Select(window => (int?)window)])
        select new AttentionStyle(scale, softCap, window);

    private static readonly Gen<(int KeyHeads, int Heads)> HeadCounts =
        from keyHeads in Gen.Int[1, 3]
        from groups in Gen.Int[1, 3]
        select (keyHeads, keyHeads * groups);

    [Fact]
    public void Outputs_and_gradients_equal_attention_written_out() =>
        Gen.Select(Example.Array[1, 6], Style, HeadCounts).Sample((examples, style, heads) =>
        {
            using var scope = NewDisposeScope();
            var layout = new SequenceLayout(examples);
            var inputs = Inputs(layout.RowCount, heads);
            var weights = randn(layout.RowCount, heads.Heads * HeadSize);

            double[][] Run(Func<Tensor, Tensor, Tensor, Tensor> attend)
            {
                foreach (var input in inputs)
                    input.grad = null;
                var output = attend(inputs[0], inputs[1], inputs[2]);
                (output * weights).sum().backward();
                return [output.flatten().ToDoubles(), .. inputs.Select(input => input.grad!.flatten().ToDoubles())];
            }

            var expected = Run((query, key, value) => WrittenOut(Visible(layout, style.Window), query, key, value, style));
            foreach (var attention in (Attention[])[
                new SharedPromptAttention(layout, CPU, Windows), new BucketedAttention(layout, CPU, float32, Windows), new FlashInTurn(layout)])
            {
                Assert.Equal(layout.Positions, attention.Positions.data<long>().ToArray());
                var actual = Run((query, key, value) => attention.Attend(0, query, key, value, style));
                foreach (var (index, name) in ((string[])["output", "query", "key", "value"]).Index())
                    Numbers.AssertClose(expected[index], actual[index], 2e-5, $"{attention.GetType().Name}, {name}");
            }
        }, iter: 80, threads: 1);

    [Fact]
    public void A_window_no_sequence_reaches_costs_nothing()
    {
        using var scope = NewDisposeScope();
        // The longest sequence has 4 + 5 - 1 tokens.
        var layout = new SequenceLayout([new(4, [5, 3]), new(2, [2])]);
        int Tensors(Func<Attention> make)
        {
            var before = scope.DisposablesCount;
            make();
            return scope.DisposablesCount - before;
        }

        var plain = Tensors(() => new SharedPromptAttention(layout, CPU));
        Assert.Equal(plain, Tensors(() => new SharedPromptAttention(layout, CPU, 8)));
        Assert.Equal(plain + 1, Tensors(() => new SharedPromptAttention(layout, CPU, 7)));
        var bucketed = Tensors(() => new BucketedAttention(layout, CPU, float32));
        Assert.Equal(bucketed, Tensors(() => new BucketedAttention(layout, CPU, float32, 8)));
        Assert.Equal(bucketed + 1, Tensors(() => new BucketedAttention(layout, CPU, float32, 7)));
    }

    /// <summary>Prompts of any lengths and K sequences of each, which begin at any step at any row, grow by a token a time to any length, and
    /// are moved when rows become free. Heads of 4 go through products of tensors, heads of whole vectors are read in the cache unless all is
    /// done as on a device.</summary>
    [Theory]
    [InlineData(HeadSize, false)]
    [InlineData(32, false)]
    [InlineData(96, false)]
    [InlineData(32, true)]
    public void With_a_cache_every_new_token_sees_what_it_would_in_the_whole_sequence(int headSize, bool asOnDevice) =>
        Gen.Select(Gen.Int[1, 7].Array[1, 4], Gen.Int[1, 3], Style, HeadCounts, Gen.Int).Sample((lengths, samples, style, heads, draw) =>
        {
            using var scope = NewDisposeScope();
            using var noGrad = no_grad();
            const int more = 6;
            var random = new Random(draw);
            // A completion's last token has no row.
            var layout = new SequenceLayout([.. lengths.Select(length => new ExampleLengths(length, [.. Enumerable.Repeat(more + 1, samples)]))]);
            var inputs = Inputs(layout.RowCount, heads, headSize);
            var expected = WrittenOut(Visible(layout, style.Window), inputs[0], inputs[1], inputs[2], style);
            var starts = lengths.Select((_, prompt) => lengths.Take(prompt).Sum(length => length + samples * more)).ToArray();

            var capacity = random.Next(1, lengths.Length * samples + 1);
            using var strategies = asOnDevice ? DeviceStrategies.OnCpu() : null;
            using var cache = new CachedAttention(layers: 1, capacity, lengths.Max(), more, samples > 1, CPU);
            void AssertAttends(Attention attention, IReadOnlyList<int> rows)
            {
                var index = tensor(rows.Select(row => (long)row).ToArray());
                // Views into one tensor, as a model's projection gives them.
                var step = cat([.. inputs.Select(input => input.index_select(0, index))], 1).split([heads.Heads, heads.KeyHeads, heads.KeyHeads], 1);
                Assert.Equal(rows.Select(row => layout.Positions[row]), attention.Positions.data<long>());
                Numbers.AssertClose(
                    expected.index_select(0, index).flatten().ToDoubles(), attention.Attend(0, step[0], step[1], step[2], style).flatten().ToDoubles(), 2e-5,
                    $"rows {string.Join(", ", rows)}");
            }

            var promptRows = new int[lengths.Length];
            void ReadPrompt(int prompt)
            {
                promptRows[prompt] = cache.Prompts.Add(lengths[prompt]);
                var layout = new SequenceLayout([new(lengths[prompt], [])]);
                using var attention = new PromptAttention(new SharedPromptAttention(layout, CPU, Windows), cache.Prompts, [promptRows[prompt]]);
                AssertAttends(attention, [.. Enumerable.Range(starts[prompt], lengths[prompt])]);
            }

            // Each sequence's prompt, where its tokens begin, and how many it has.
            var waiting = new Queue<(int Prompt, int Start, int Count)>(lengths.SelectMany((length, prompt) => Enumerable.Range(0, samples).Select(sample =>
                (prompt, starts[prompt] + length + sample * more, random.Next(1, more + 1)))));
            var running = new List<(int Prompt, int Start, int Count, int Done)>();
            while (waiting.Count > 0 || running.Count > 0)
            {
                while (running.Count < capacity && waiting.TryDequeue(out var next))
                {
                    if (next.Start == starts[next.Prompt] + lengths[next.Prompt])
                        ReadPrompt(next.Prompt);
                    cache.Begin([running.Count], [promptRows[next.Prompt]]);
                    running.Add((next.Prompt, next.Start, next.Count, 0));
                }
                cache.Advance(running.Count);
                AssertAttends(cache, [.. running.Select(sequence => sequence.Start + sequence.Done)]);
                running = running.ConvertAll(sequence => sequence with { Done = sequence.Done + 1 });
                for (var row = running.Count - 1; row >= 0; row--)
                {
                    var ended = running[row];
                    if (ended.Done < ended.Count)
                        continue;
                    if (row < running.Count - 1)
                        cache.Move([(running.Count - 1, row)]);
                    running[row] = running[^1];
                    running.RemoveAt(running.Count - 1);
                    if (!running.Concat(waiting.Select(sequence => (sequence.Prompt, sequence.Start, sequence.Count, 0))).Any(sequence => sequence.Prompt == ended.Prompt))
                        cache.Prompts.Remove(promptRows[ended.Prompt]);
                }
            }
        }, iter: 150, threads: 1);

    /// <summary>What is read as bf16 is summed in fp32, and only an output is rounded: by half of a last place at most.</summary>
    [Theory]
    [InlineData(1)]
    [InlineData(3)]
    public void A_cache_in_bf16_gives_what_one_in_fp32_does_but_for_rounding(int samples)
    {
        using var scope = NewDisposeScope();
        using var noGrad = no_grad();
        const int steps = 4;
        int[] lengths = [5, 2, 7];
        var sequences = lengths.Length * samples;
        using var exact = new CachedAttention(layers: 1, sequences, lengths.Max(), steps, samples > 1, CPU);
        using var rounded = new CachedAttention(layers: 1, sequences, lengths.Max(), steps, samples > 1, CPU);
        Tensor Rows(int count, int heads) => randn(count, heads, 64).to(bfloat16);
        var (key, value) = (Rows(lengths.Sum(), 2), Rows(lengths.Sum(), 2));
        foreach (var (cache, dtype) in ((CachedAttention, ScalarType)[])[(exact, float32), (rounded, bfloat16)])
        {
            int[] prompts = [.. lengths.Select(cache.Prompts.Add)];
            cache.Prompts.Store(0, cache.Prompts.Index(prompts, 2, CPU), key.to(dtype), value.to(dtype));
            cache.Begin([.. Enumerable.Range(0, sequences)], [.. Enumerable.Range(0, sequences).Select(sequence => prompts[sequence / samples])]);
        }

        for (var step = 0; step < steps; step++)
        {
            exact.Advance(sequences);
            rounded.Advance(sequences);
            (var query, key, value) = (Rows(sequences, 6), Rows(sequences, 2), Rows(sequences, 2));
            var expected = exact.Attend(0, query.to(float32), key.to(float32), value.to(float32)).flatten().ToDoubles();
            var output = rounded.Attend(0, query, key, value);
            Assert.Equal(bfloat16, output.dtype);
            Assert.All(expected.Zip(output.to(float32).flatten().ToDoubles()), pair =>
                Assert.InRange(Math.Abs(pair.Second - pair.First), 0, Math.Abs(pair.First) / 256 + 1e-5));
        }
    }

    private static Gen<T> OneOf<T>(params T[] values) => Gen.Int[0, values.Length - 1].Select(index => values[index]);

    private static void AssertRows(Tensor expected, int start, Tensor actual) => Numbers.AssertClose(
        expected.narrow(0, start, actual.shape[0]).flatten().ToDoubles(), actual.flatten().ToDoubles(), 2e-5, $"from row {start}");

    private static Tensor[] Inputs(int rows, (int KeyHeads, int Heads) heads, int headSize = HeadSize) =>
    [
        // Scores of the same spread whatever the size of a head.
        (randn(rows, heads.Heads, headSize) * (2 * Math.Sqrt((double)HeadSize / headSize))).detach().requires_grad_(),
        randn(rows, heads.KeyHeads, headSize, requires_grad: true),
        randn(rows, heads.KeyHeads, headSize, requires_grad: true),
    ];

    /// <summary>Row by row from the definition: the same example, no later position, the prompt or the same completion, less
    /// than a window away.</summary>
    private static Tensor Visible(SequenceLayout layout, int? window)
    {
        var places = new List<(int Example, int Completion, int Position)>();
        foreach (var (example, (promptLength, completions)) in layout.Examples.Index())
        {
            places.AddRange(Enumerable.Range(0, promptLength).Select(position => (example, -1, position)));
            foreach (var (completion, length) in completions.Index())
                places.AddRange(Enumerable.Range(0, length - 1).Select(token => (example, completion, promptLength + token)));
        }
        var visible = places.SelectMany(row => places.Select(column => row.Example == column.Example
            && (column.Completion == -1 || column.Completion == row.Completion)
            && column.Position <= row.Position && row.Position - column.Position < (window ?? int.MaxValue)));
        return tensor(visible.ToArray()).view(places.Count, places.Count);
    }

    private static Tensor WrittenOut(Tensor visible, Tensor query, Tensor key, Tensor value, AttentionStyle style)
    {
        var groups = query.shape[1] / key.shape[1];
        var outputs = Enumerable.Range(0, (int)query.shape[1]).Select(head =>
        {
            var scores = query.select(1, head).matmul(key.select(1, head / groups).t()) * (style.Scale ?? 1 / Math.Sqrt(query.shape[2]));
            if (style.SoftCap is { } cap)
                scores = cap * (scores / cap).tanh();
            return scores.masked_fill(visible.logical_not(), double.NegativeInfinity).softmax(1).matmul(value.select(1, head / groups));
        });
        return cat([.. outputs], 1);
    }
}
