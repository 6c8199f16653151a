using TorchSharp.Modules;
using static TorchSharp.torch;

namespace Dpo.Tests;

/// <summary>A user's module from ids to logits whose parameters are all that parameters may be: one with two names, three that are
/// parts of one tensor and are joined in use, one that is laid out otherwise. Or, with the same numbers, plain ones.</summary>
internal sealed class AwkwardModule : nn.Module<Tensor, Tensor>
{
    private const int Vocabulary = 40, Width = 8, Part = 4;

    private readonly Embedding? tokens;
    private readonly Linear? head;
    private readonly Parameter? table;
    private readonly Parameter first;
    private readonly Parameter second;
    private readonly Parameter third;
    private readonly Parameter up;

    public AwkwardModule(bool plain = false)
        : base(nameof(AwkwardModule))
    {
        using var generator = new Generator(7);
        var vectors = randn([Vocabulary, Width], generator: generator);
        var together = randn([3 * Part, Width], generator: generator);
        var raise = randn([3 * Part, Width], generator: generator).t();
        Parameter Own(Tensor tensor) => new(plain ? tensor.contiguous().clone() : tensor.detach());
        if (plain)
        {
            table = Own(vectors);
        }
        else
        {
            tokens = nn.Embedding(Vocabulary, Width);
            using (no_grad())
                tokens.weight!.copy_(vectors);
            head = nn.Linear(Width, Vocabulary, hasBias: false);
            head.weight = tokens.weight!;
        }
        (first, second, third) = (Own(together.narrow(0, 0, Part)), Own(together.narrow(0, Part, Part)), Own(together.narrow(0, 2 * Part, Part)));
        up = Own(raise);
        RegisterComponents();
    }

    public override Tensor forward(Tensor ids)
    {
        using var scope = NewDisposeScope();
        var hidden = tokens?.forward(ids) ?? table!.index_select(0, ids.flatten()).view(ids.shape[0], ids.shape[1], Width);
        hidden = hidden + nn.functional.linear(nn.functional.linear(hidden, cat([first, second, third], 0)).tanh(), up);
        return (head?.forward(hidden) ?? nn.functional.linear(hidden, table!)).MoveToOuterDisposeScope();
    }
}
