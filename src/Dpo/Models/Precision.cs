namespace Dpo.Models;

/// <summary>The precision of a model's matrix products. Weights, gradients, log-sum-exp and losses are fp32 with
/// either.</summary>
public enum Precision
{
    /// <summary>32-bit floating point.</summary>
    Float32,

    /// <summary>Weights and activations are cast to bfloat16 for the matrix products. The weights themselves stay fp32:
    /// DPO's updates are too small to move a bf16 weight.</summary>
    BFloat16,
}
