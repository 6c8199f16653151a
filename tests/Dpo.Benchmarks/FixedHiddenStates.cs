using TorchSharp.Modules;
using static TorchSharp.torch;

namespace Dpo.Benchmarks;

/// <summary>A language model that is all head: its hidden states are given, and trained.</summary>
internal sealed class FixedHiddenStates : CausalLanguageModel
{
    private readonly Parameter weight;
    private readonly Parameter hidden;

    public FixedHiddenStates(Parameter weight, Parameter hidden)
        : base(nameof(FixedHiddenStates))
    {
        (this.weight, this.hidden) = (weight, hidden);
        RegisterComponents();
    }

    public override OutputHead Head => new(weight);

    /// <summary>The first hidden states.</summary>
    public Tensor Hidden(int rows) => rows == hidden.shape[0] ? hidden.alias() : hidden.split([rows, hidden.shape[0] - rows])[0];

    public override Tensor forward(Tensor ids, SequenceLayout layout) => Hidden(layout.RowCount);
}
