using Dpo.Models.Attentions;
using Dpo.Models.Layers;
using Dpo.Native;
using TorchSharp.Modules;
using static TorchSharp.torch;

namespace Dpo.Models.Architectures;

/// <summary>Gemma 2 (Gemma Team 2024): a norm before and after each branch, soft caps on attention scores and logits, scaled
/// embeddings, and a sliding window on every other layer.</summary>
public sealed class Gemma2 : RotaryDecoder
{
    internal Gemma2(ModelConfig file)
        : this(file, Read(file))
    {
    }

    private Gemma2(ModelConfig file, DecoderConfig config)
        : base(nameof(Gemma2), file, config, layer => new Gemma2Block(config, layer, file.Bool("attention_bias", false)))
    {
    }

    private static DecoderConfig Read(ModelConfig file)
    {
        file.OneOf("hidden_activation", "gelu_pytorch_tanh", "gelu_pytorch_tanh");
        file.Require("use_bidirectional_attention", false);
        return DecoderConfig.From(file, SlidingWindows.OfEveryOther(file), tied: true) with
        {
            Attention = new(
                Scale: 1 / Math.Sqrt(Positive(file, "query_pre_attn_scalar")),
                SoftCap: SoftCap(file, "attn_logit_softcapping")),
            NormsAroundOne = true,
            EmbeddingScale = Math.Sqrt(file.Int("hidden_size")),
            HeadSoftCap = SoftCap(file, "final_logit_softcapping"),
        };
    }

    /// <summary>A cap, or null for none; an absent field is refused, since transformers would take 50 or 30 then.</summary>
    private static double? SoftCap(ModelConfig file, string field) =>
        file.Names(field) && !file.Has(field) ? null : Positive(file, field);

    private static double Positive(ModelConfig file, string field) =>
        file.Double(field) is var value && (float)value > 0 ? value : throw file.Wrong(field, "it must be above 0");
}

internal sealed class Gemma2Block : DecoderBlock
{
    private readonly RmsNorm input_layernorm;
    private readonly SelfAttention self_attn;
    private readonly RmsNorm post_attention_layernorm;
    private readonly RmsNorm pre_feedforward_layernorm;
    private readonly GatedMlp mlp;
    private readonly RmsNorm post_feedforward_layernorm;

    public Gemma2Block(DecoderConfig config, int layer, bool attentionBias)
    {
        input_layernorm = config.Norm();
        self_attn = config.SelfAttention(layer, attentionBias, attentionBias);
        post_attention_layernorm = config.Norm();
        pre_feedforward_layernorm = config.Norm();
        mlp = config.Mlp(activation: x => nn.functional.gelu(x, GELU.Approximate.tanh));
        post_feedforward_layernorm = config.Norm();
        RegisterComponents();
    }

    public override Tensor forward(Tensor hidden, Rotation rotation, Attention attention, ScalarType computeType)
    {
        var attended = self_attn.call(input_layernorm.call(hidden).to(computeType), rotation, attention);
        hidden = hidden.Plus(post_attention_layernorm.call(attended));
        return hidden.Plus(post_feedforward_layernorm.call(mlp.call(pre_feedforward_layernorm.call(hidden).to(computeType))));
    }
}
