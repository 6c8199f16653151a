using Dpo.Native;
using static TorchSharp.torch;

namespace Dpo.Losses;

/// <summary>
/// <c>beta_dpo</c>: −ls(β_b Δ) over the pairs of a batch that are kept, β-DPO (Wu et al. 2024): the more the policy has made of a
/// batch's pairs already, the closer it is held to the reference, β_b = max(0.001, β(1 + a(mean of kept Δ − M))), and the pairs
/// whose Δ is furthest from M, outliers, are left out. M is a running mean of Δ: 0.9 M + 0.1 (the batch's mean), from 0, updated
/// before it is used.
/// </summary>
/// <remarks>
/// <para>For data of mixed quality, where no one β suits all batches. Formulas are those of the authors' code, in which M and a
/// are of Δ without β. There the pairs that are kept are drawn, with weights exp(−½((Δ − M)/σ)²); here the likeliest of them are
/// kept, at equal weights those that come first, and so neither σ nor random numbers are needed.</para>
/// <para>It couples the batch. M moves where gradients are recorded, once for each call: a training step's. Held-out data are
/// measured with M as it is. Checkpoints keep it; take a new loss for a new run.</para>
/// <para>A pair's loss is P/K times −ls(β_b Δ) where K of P pairs are kept and it is one of them, and 0 else.</para>
/// </remarks>
/// <param name="beta">β &gt; 0.</param>
/// <param name="sensitivity">a ≥ 0: how far β_b follows the batch; the paper takes 0.6.</param>
/// <param name="filteredShare">The share of pairs that are left out, in [0, 1); the paper takes 0.2. One pair is kept in any
/// case.</param>
public sealed class BetaDpoLoss(double beta = 0.1, double sensitivity = 0.6, double filteredShare = 0.2) : PairLoss
{
    private const double Memory = 0.9, LeastBeta = 1e-3;
    private const string MeanName = "mean";

    /// <summary>M, a scalar on the device of the log-probabilities; null before the first step.</summary>
    private Tensor? mean;

    /// <inheritdoc/>
    public override double Beta { get; } = LossArgument.Beta(beta);

    /// <summary>a.</summary>
    public double Sensitivity { get; } = LossArgument.AtLeast0(sensitivity, "a", nameof(sensitivity));

    /// <summary>The share of pairs that are left out.</summary>
    public double FilteredShare { get; } = filteredShare is >= 0 and < 1
        ? filteredShare
        : throw new ArgumentOutOfRangeException(nameof(filteredShare), filteredShare, "The filtered share must lie in [0, 1).");

    /// <inheritdoc/>
    public override bool IsBatchCoupled => true;

    /// <inheritdoc/>
    public override Tensor Losses(PairLogProbs pairs)
    {
        ArgumentNullException.ThrowIfNull(pairs);
        var margins = pairs.Margins;
        var count = margins.shape[0];
        // What 0.8 of 10 pairs is short of 8 by is rounding.
        var kept = Math.Max(1, (long)(count * (1 - FilteredShare) + 1e-9));

        var gaps = margins.detach();
        var center = Center(gaps);
        var nearest = (gaps - center).abs().sort(stable: true).Indices.narrow(0, 0, kept);
        var shift = gaps.index_select(0, nearest).mean() - center;
        var betas = shift.Times(Sensitivity).Plus(1).Times(Beta).AtLeast(LeastBeta);
        var isKept = zeros_like(gaps).AddRowsInPlace(nearest, ones_like(nearest, gaps.dtype));
        return -nn.functional.logsigmoid(margins * betas) * isKept.Times((double)count / kept);
    }

    /// <inheritdoc/>
    public override IEnumerable<(string Name, Tensor Tensor)> State() => mean is null ? [] : [(MeanName, mean)];

    /// <inheritdoc/>
    public override void LoadState(IEnumerable<(string Name, Tensor Tensor)> state)
    {
        ArgumentNullException.ThrowIfNull(state);
        foreach (var (name, tensor) in state)
        {
            if (name != MeanName || tensor.dim() != 0)
                throw new InvalidInputException(
                    $"The checkpoint's loss has a {name}, and β-DPO has the scalar {MeanName} alone.");
            Keep(tensor.clone());
        }
    }

    /// <summary>M, which a training step moves first.</summary>
    private Tensor Center(Tensor gaps)
    {
        if (is_grad_enabled())
            Keep((mean?.to(gaps).Times(Memory) ?? zeros_like(gaps.mean())).Plus(gaps.mean().Times(1 - Memory)));
        return mean?.to(gaps) ?? zeros_like(gaps.mean());
    }

    private void Keep(Tensor now)
    {
        mean?.Dispose();
        mean = now.DetachFromDisposeScope();
    }
}
