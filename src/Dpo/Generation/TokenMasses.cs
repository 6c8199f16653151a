using System.Numerics.Tensors;

namespace Dpo.Generation;

/// <summary>The softmax of a row of scores, kept as sums over blocks of neighbouring tokens: enough to find the token at any
/// place of the cumulative distribution, without a second row to write.</summary>
internal readonly ref struct TokenMasses
{
    private const int BlockLength = 512;

    private readonly ReadOnlySpan<float> scores;
    private readonly float largest;
    private readonly float scale;
    private readonly double[] blocks;

    /// <summary>Sums the masses.</summary>
    /// <param name="scores">The scores, <c>[V]</c>; −∞ for no mass.</param>
    /// <param name="temperature">What they are divided by, above 0.</param>
    public TokenMasses(ReadOnlySpan<float> scores, double temperature)
    {
        this.scores = scores;
        largest = TensorPrimitives.Max(scores);
        scale = (float)(1 / temperature);
        blocks = new double[(scores.Length + BlockLength - 1) / BlockLength];
        Span<float> masses = stackalloc float[BlockLength];
        for (var block = 0; block < blocks.Length; block++)
        {
            Masses(block, masses, out blocks[block]);
            Total += blocks[block];
        }
    }

    /// <summary>The sum of all masses, where the likeliest token's is 1.</summary>
    public double Total { get; }

    /// <summary>log Σ exp(score / temperature): subtract it from a scaled score to get a log-probability. Not finite where a
    /// score is NaN or +∞, or all are −∞.</summary>
    public double LogSumExp => (double)largest * scale + Math.Log(Total);

    /// <summary>The first token, in the order of ids, at which the cumulative mass exceeds a share of the total: never one
    /// without mass.</summary>
    /// <param name="share">From 0 up to, not including, 1.</param>
    public int Invert(double share)
    {
        var target = share * Total;
        var (block, cumulative) = (0, 0.0);
        while (block + 1 < blocks.Length && cumulative + blocks[block] <= target)
            cumulative += blocks[block++];
        while (block > 0 && blocks[block] == 0)
            block--;

        var masses = Masses(block, stackalloc float[BlockLength], out _);
        var last = 0;
        for (var token = 0; token < masses.Length; token++)
        {
            if (masses[token] == 0)
                continue;
            last = token;
            cumulative += masses[token];
            if (cumulative > target)
                break;
        }
        return block * BlockLength + last;
    }

    /// <summary>exp((score − largest) / temperature) of the tokens of a block, and their sum.</summary>
    private ReadOnlySpan<float> Masses(int block, Span<float> buffer, out double sum)
    {
        var ofBlock = scores[(block * BlockLength)..Math.Min(scores.Length, (block + 1) * BlockLength)];
        var masses = buffer[..ofBlock.Length];
        TensorPrimitives.Subtract(ofBlock, largest, masses);
        if (scale != 1)
            TensorPrimitives.Multiply(masses, scale, masses);
        TensorPrimitives.Exp(masses, masses);
        sum = TensorPrimitives.Sum<float>(masses);
        return masses;
    }
}
