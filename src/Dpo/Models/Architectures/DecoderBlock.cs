using Dpo.Models.Attentions;
using Dpo.Models.Layers;
using Dpo.Native;
using static TorchSharp.torch;

namespace Dpo.Models.Architectures;

/// <summary>A block of a decoder: attention and a feed-forward layer, each added to the hidden states.</summary>
internal abstract class DecoderBlock : nn.Module<Tensor, Rotation, Attention, ScalarType, Tensor>
{
    protected DecoderBlock()
        : base("block")
    {
    }

    /// <summary>Maps hidden states <c>[N, D]</c> to hidden states. They stay fp32 in either precision: the branches are what is
    /// cast.</summary>
    public abstract override Tensor forward(Tensor hidden, Rotation rotation, Attention attention, ScalarType computeType);
}

/// <summary>Llama's block: a norm in front of each branch.</summary>
internal sealed class PreNormBlock : DecoderBlock
{
    private readonly RmsNorm input_layernorm;
    private readonly SelfAttention self_attn;
    private readonly RmsNorm post_attention_layernorm;
    private readonly nn.Module<Tensor, Tensor> mlp;

    public PreNormBlock(DecoderConfig config, SelfAttention attention, nn.Module<Tensor, Tensor> mlp)
    {
        input_layernorm = config.Norm();
        self_attn = attention;
        post_attention_layernorm = config.Norm();
        this.mlp = mlp;
        RegisterComponents();
    }

    public override Tensor forward(Tensor hidden, Rotation rotation, Attention attention, ScalarType computeType)
    {
        hidden = hidden.Plus(self_attn.call(input_layernorm.call(hidden).to(computeType), rotation, attention));
        return hidden.Plus(mlp.call(post_attention_layernorm.call(hidden).to(computeType)));
    }
}
