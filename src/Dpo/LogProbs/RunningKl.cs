using Dpo.Native;
using static TorchSharp.torch;

namespace Dpo.LogProbs;

/// <summary>
/// The KL of a model from another, Σ q (log q − log p), gathered block by block from the logits y of q and x of p: with sums
/// over the vocabulary, Σ eʸ(y − x) / Σ eʸ − log Σ eʸ + log Σ eˣ.
/// </summary>
/// <param name="rows">How many distributions there are.</param>
/// <param name="device">The heads' device.</param>
internal sealed class RunningKl(long rows, Device device)
{
    // Sums are kept relative to the largest logit of q so far, as the head keeps its own: of equal logits the KL is 0 to the bit.
    private readonly Tensor maximum = empty([rows], float32, device).FillInPlace(float.MinValue);
    private readonly Tensor sum = zeros([rows], float32, device);
    private readonly Tensor products = zeros([rows], float32, device);

    /// <summary>Adds a block.</summary>
    /// <param name="row">Its first row.</param>
    /// <param name="x">The logits of p.</param>
    /// <param name="y">The logits of q.</param>
    public void Add(long row, Tensor x, Tensor y)
    {
        Tensor Own(Tensor values) => values.narrow(0, row, y.shape[0]);
        var larger = y.amax([1]).maximum(Own(maximum));
        // Far below, the exponential is 0 for any fall; a finite one is enough.
        var shrunk = (Own(maximum) - larger).AtLeast(-1000).exp_();
        var exponentials = (y - larger.unsqueeze(1)).exp_();
        Own(sum).mul_(shrunk).AddInPlace(exponentials.sum(1));
        Own(products).mul_(shrunk).AddInPlace(RowStatistics.Finite(y).sub_(RowStatistics.Finite(x)).mul_(exponentials).sum(1));
        Own(maximum).copy_(larger);
    }

    /// <summary>The KLs, and log Σ eʸ, both <c>[rows]</c>.</summary>
    /// <param name="logSumExp">log Σ eˣ.</param>
    public (Tensor Kl, Tensor LogSumExp) End(Tensor logSumExp)
    {
        var own = sum.log().AddInPlace(maximum);
        return (products.div_(sum).AddInPlace(logSumExp - own), own);
    }
}
