using static TorchSharp.torch;

namespace Dpo.Tests;

/// <summary>Draws by operations of a device against those of the CPU's loops.</summary>
public class DeviceDrawTests
{
    private const int Draws = 10_000;

    public static TheoryData<SamplingOptions> Options =>
    [
        new(), new() { Temperature = 0 }, new() { Temperature = 0.7 }, new() { TopK = 20 }, new() { TopK = 1000, Temperature = 1.4 }, new() { TopP = 0.9 },
        new() { Temperature = 0.8, TopK = 50, TopP = 0.8 }, new() { RepetitionPenalty = 1.3 }, new() { RepetitionPenalty = 0.8, TopP = 0.5, TopK = 7 },
    ];

    /// <summary>Where a host's draw is another with the uniform number a little less or more, rounding decides.</summary>
    [Theory]
    [MemberData(nameof(Options))]
    public void They_are_the_hosts_but_where_rounding_decides(SamplingOptions options)
    {
        foreach (var dtype in (ScalarType[])[float32, bfloat16])
        {
            foreach (var drawable in (DrawableIds?[])[null, new(690, []), new(699, [3, 17, 400])])
                AssertAlike(options, drawable, dtype);
        }
    }

    private static void AssertAlike(SamplingOptions options, DrawableIds? drawable, ScalarType dtype)
    {
        const int vocabulary = 700, rows = Draws / 6;
        using var scope = NewDisposeScope();
        using var generator = new Generator(5);
        // In bf16 there are many equals.
        var logits = (randn([rows, vocabulary], generator: generator) * 3).to(dtype);
        var floats = logits.to(float32).data<float>().ToArray();
        float[] uniforms = [.. Enumerable.Range(0, rows).Select(row => CounterRandom.Uniform(1, row, 2))];
        int[][] seen = [.. Enumerable.Range(0, rows).Select(row => (int[])[row % vocabulary, row * 31 % vocabulary, row * 7 % vocabulary, row % vocabulary])];
        var penalized = options.RepetitionPenalty == 1 ? null : tensor(seen.SelectMany(ids => ids.Select(id => (long)id)).ToArray()).view(rows, -1);

        var drawn = new DeviceDraw(options, drawable).Draw(logits, tensor(uniforms), penalized).data<double>().ToArray();
        var different = 0;
        for (var row = 0; row < rows; row++)
        {
            (int Id, float LogProb) OnHost(float uniform) => TokenDraw.Draw(floats.AsSpan(row * vocabulary, vocabulary), uniform, seen[row], options, drawable);
            var (id, logProb) = OnHost(uniforms[row]);
            if (id == (int)drawn[row])
            {
                Assert.Equal(logProb, drawn[rows + row], 1e-5);
                continue;
            }
            different++;
            var step = 2f / (1 << 24);
            Assert.Contains((int)drawn[row], new[] { OnHost(Math.Max(0, uniforms[row] - step)).Id, OnHost(Math.Min(1 - (step / 2), uniforms[row] + step)).Id });
        }
        Assert.InRange(different, 0, 3);
    }

    [Fact]
    public void Of_equals_those_with_smaller_ids_come_first()
    {
        using var scope = NewDisposeScope();
        var logits = tensor(Enumerable.Range(0, 100).Select(token => token % 10 == 3 ? 1f : token % 2 == 0 ? 0f : -0f).ToArray()).unsqueeze(0).expand(4, -1);
        var uniforms = tensor(Enumerable.Range(0, 4).Select(draw => (draw + 0.5f) / 4).ToArray());
        double[] Drawn(SamplingOptions options) => [.. new DeviceDraw(options, null).Draw(logits, uniforms, null).data<double>().ToArray().Take(4)];
        Assert.Equal([3, 3, 3, 3], Drawn(new() { Temperature = 0 }));
        Assert.Equal([3, 13, 23, 33], Drawn(new() { TopK = 4 }));
        Assert.Equal([13, 43, 63, 93], Drawn(new() { TopK = 12, Temperature = 1.5 }));
    }

    [Fact]
    public void Tokens_without_probability_are_never_drawn()
    {
        using var scope = NewDisposeScope();
        foreach (var (length, likely) in ((int, int)[])[(9, 4), (9, 8), (3000, 1500), (3000, 0), (3000, 2999)])
        {
            var values = Enumerable.Repeat(float.NegativeInfinity, length).ToArray();
            values[likely] = 1;
            var logits = tensor(values).unsqueeze(0).expand(2, -1);
            foreach (var options in (SamplingOptions[])[
                new(), new() { Temperature = 0.5 }, new() { TopK = 5 }, new() { TopP = 0.999999 }, new() { TopP = 1e-9 }, new() { Temperature = 0 }])
            {
                var drawn = new DeviceDraw(options, null).Draw(logits, tensor(new[] { 0, 1 - (1f / (1 << 24)) }), null).data<double>().ToArray();
                Assert.Equal([likely, likely, 0, 0], drawn);
            }
        }
    }

    [Fact]
    public void What_is_no_distribution_has_no_log_probability()
    {
        using var scope = NewDisposeScope();
        foreach (var value in (float[])[float.NaN, float.PositiveInfinity, float.NegativeInfinity])
        {
            var logits = full([1, 700], value == float.NegativeInfinity ? value : 0f);
            logits[0, 650] = value;
            foreach (var options in (SamplingOptions[])[new(), new() { Temperature = 0 }, new() { TopK = 3 }, new() { TopP = 0.9 }, new() { TopP = 0.9, RepetitionPenalty = 2 }])
                Assert.False(double.IsFinite(new DeviceDraw(options, new(699, [4])).Draw(logits, tensor(new[] { 0.5f }), tensor(new[] { 3L }).view(1, 1)).data<double>()[1]));
        }
    }
}
