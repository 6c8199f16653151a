using Dpo.Models;
using Dpo.Models.Layers;
using static TorchSharp.torch;

namespace Dpo.Generation;

/// <summary>
/// A model's matrices in the precision of its products, for as long as a generation takes: casting them anew for every token
/// would cost more than the products. In fp32 they are the parameters themselves.
/// </summary>
internal sealed class CastWeights : IDisposable
{
    private readonly Projection[] projections;

    public CastWeights(TransformerModel model)
    {
        using var scope = NewDisposeScope();
        var head = model.Head;
        projections = [.. model.modules().OfType<Projection>().Where(layer => !ReferenceEquals(layer, model.OwnHeadLayer))];
        foreach (var projection in projections)
            projection.Hold(model.ComputeType);
        Head = head with
        {
            Weight = head.Columns(weight => weight.detach(), model.ComputeType).DetachFromDisposeScope(),
            LowRank = null,
            Bias = head.Bias?.detach().to(model.ComputeType).DetachFromDisposeScope(),
        };
    }

    /// <summary>The model's head.</summary>
    public OutputHead Head { get; }

    public void Dispose()
    {
        foreach (var projection in projections)
            projection.Release();
        Head.Weight!.Dispose();
        Head.Bias?.Dispose();
    }
}
