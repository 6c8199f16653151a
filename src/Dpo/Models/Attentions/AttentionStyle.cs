namespace Dpo.Models.Attentions;

/// <summary>What sets a layer's attention apart from the plain kind; the default is plain.</summary>
/// <param name="Scale">What dot products of queries and keys are multiplied by; 1/√(head size) where null.</param>
/// <param name="SoftCap">Scaled scores x become cap·tanh(x / cap) (Gemma 2), with a cap above 0; null for none.</param>
/// <param name="Window">A token sees those less than this many positions before it, itself included, 1 or more; all before it
/// where null. Positions count along the sequence, so a completion's window reaches back into its prompt.</param>
public readonly record struct AttentionStyle(double? Scale = null, double? SoftCap = null, int? Window = null);
