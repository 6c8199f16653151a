using Dpo.Models.Layers;
using Dpo.Native;
using static TorchSharp.torch;

namespace Dpo.Models.Architectures;

// The fields below carry Hugging Face's names, because the keys of the state dict are made of them.

/// <summary>RoBERTa (Liu et al. 2019) with a classification head: an encoder in which every token sees every other, with a layer
/// norm after each residual branch. Loaded to judge, not to be trained: dropout is not implemented.</summary>
internal sealed class Roberta : nn.Module
{
    private readonly RobertaBody roberta;
    private readonly RobertaHead classifier;

    public Roberta(RobertaConfig config)
        : base(nameof(Roberta))
    {
        roberta = new RobertaBody(config);
        classifier = new RobertaHead(config);
        RegisterComponents();
        eval();
    }

    /// <summary>Whether a stored tensor holds nothing that is computed with: row numbers, or BERT's pooling layer.</summary>
    public static bool IsDerived(string tensor) =>
        tensor == "roberta.embeddings.position_ids" || tensor.StartsWith("roberta.pooler.", StringComparison.Ordinal);

    /// <summary>Logits <c>[B, labels]</c> of texts.</summary>
    /// <param name="ids">Token ids <c>[B, T]</c>, padded to the right.</param>
    /// <param name="positions">Rows of the position table, <c>[B, T]</c>.</param>
    /// <param name="real">True where a token is no padding, <c>[B, T]</c>.</param>
    public Tensor Logits(Tensor ids, Tensor positions, Tensor real) =>
        classifier.Forward(roberta.Forward(ids, positions, real.unsqueeze(1).unsqueeze(1)).select(1, 0));
}

internal sealed class RobertaBody : nn.Module
{
    private readonly RobertaEmbeddings embeddings;
    private readonly RobertaEncoder encoder;

    public RobertaBody(RobertaConfig config)
        : base("roberta")
    {
        embeddings = new RobertaEmbeddings(config);
        encoder = new RobertaEncoder(config);
        RegisterComponents();
    }

    public Tensor Forward(Tensor ids, Tensor positions, Tensor mask) => encoder.Forward(embeddings.Forward(ids, positions), mask);
}

internal sealed class RobertaEmbeddings : nn.Module
{
    private readonly EmbeddingTable word_embeddings;
    private readonly EmbeddingTable position_embeddings;
    private readonly EmbeddingTable token_type_embeddings;
    private readonly LayerNormalization LayerNorm;

    public RobertaEmbeddings(RobertaConfig config)
        : base("embeddings")
    {
        word_embeddings = new EmbeddingTable(config.VocabularySize, config.HiddenSize);
        position_embeddings = new EmbeddingTable(config.PositionRows, config.HiddenSize);
        token_type_embeddings = new EmbeddingTable(config.TokenTypes, config.HiddenSize);
        LayerNorm = new LayerNormalization(config.HiddenSize, config.LayerNormEpsilon);
        RegisterComponents();
    }

    /// <summary>All tokens are of the first type: RoBERTa has one text where BERT had two.</summary>
    public Tensor Forward(Tensor ids, Tensor positions) =>
        LayerNorm.call(
            Rows(word_embeddings, ids).Plus(token_type_embeddings.Weight.select(0, 0))
                .Plus(Rows(position_embeddings, positions)));

    private static Tensor Rows(EmbeddingTable table, Tensor ids) =>
        table.call(ids.flatten()).view(ids.shape[0], ids.shape[1], -1);
}

internal sealed class RobertaEncoder : nn.Module
{
    private readonly BlockSequence<RobertaLayer> layer;

    public RobertaEncoder(RobertaConfig config)
        : base("encoder")
    {
        layer = new BlockSequence<RobertaLayer>(config.LayerCount, _ => new RobertaLayer(config));
        RegisterComponents();
    }

    public Tensor Forward(Tensor hidden, Tensor mask) =>
        layer.Run(hidden, recompute: false, (block, input) => block.Forward(input, mask));
}

internal sealed class RobertaLayer : nn.Module
{
    private readonly RobertaAttention attention;
    private readonly RobertaIntermediate intermediate;
    private readonly RobertaOutput output;

    public RobertaLayer(RobertaConfig config)
        : base("layer")
    {
        attention = new RobertaAttention(config);
        intermediate = new RobertaIntermediate(config);
        output = new RobertaOutput(config.InnerSize, config);
        RegisterComponents();
    }

    public Tensor Forward(Tensor hidden, Tensor mask)
    {
        hidden = attention.Forward(hidden, mask);
        return output.Forward(intermediate.Forward(hidden), residual: hidden);
    }
}

internal sealed class RobertaAttention : nn.Module
{
    private readonly RobertaSelfAttention self;
    private readonly RobertaOutput output;

    public RobertaAttention(RobertaConfig config)
        : base("attention")
    {
        self = new RobertaSelfAttention(config);
        output = new RobertaOutput(config.HiddenSize, config);
        RegisterComponents();
    }

    public Tensor Forward(Tensor hidden, Tensor mask) => output.Forward(self.Forward(hidden, mask), residual: hidden);
}

internal sealed class RobertaSelfAttention : nn.Module
{
    private readonly LinearLayer query;
    private readonly LinearLayer key;
    private readonly LinearLayer value;
    private readonly int heads;

    public RobertaSelfAttention(RobertaConfig config)
        : base("self")
    {
        heads = config.HeadCount;
        query = new LinearLayer(config.HiddenSize, config.HiddenSize, hasBias: true);
        key = new LinearLayer(config.HiddenSize, config.HiddenSize, hasBias: true);
        value = new LinearLayer(config.HiddenSize, config.HiddenSize, hasBias: true);
        RegisterComponents();
    }

    public Tensor Forward(Tensor x, Tensor mask)
    {
        var output = nn.functional.scaled_dot_product_attention(Heads(query), Heads(key), Heads(value), mask);
        return output.transpose(1, 2).flatten(2);

        // [B, T, D] → [B, heads, T, head size]
        Tensor Heads(LinearLayer layer) => layer.call(x).unflatten(2, heads, -1).transpose(1, 2);
    }
}

internal sealed class RobertaIntermediate : nn.Module
{
    private readonly LinearLayer dense;

    public RobertaIntermediate(RobertaConfig config)
        : base("intermediate")
    {
        dense = new LinearLayer(config.HiddenSize, config.InnerSize, hasBias: true);
        RegisterComponents();
    }

    public Tensor Forward(Tensor x) => nn.functional.gelu(dense.call(x));
}

internal sealed class RobertaOutput : nn.Module
{
    private readonly LinearLayer dense;
    private readonly LayerNormalization LayerNorm;

    public RobertaOutput(int inputs, RobertaConfig config)
        : base("output")
    {
        dense = new LinearLayer(inputs, config.HiddenSize, hasBias: true);
        LayerNorm = new LayerNormalization(config.HiddenSize, config.LayerNormEpsilon);
        RegisterComponents();
    }

    public Tensor Forward(Tensor x, Tensor residual) => LayerNorm.call(dense.call(x).Plus(residual));
}

internal sealed class RobertaHead : nn.Module
{
    private readonly LinearLayer dense;
    private readonly LinearLayer out_proj;

    public RobertaHead(RobertaConfig config)
        : base("classifier")
    {
        dense = new LinearLayer(config.HiddenSize, config.HiddenSize, hasBias: true);
        out_proj = new LinearLayer(config.HiddenSize, config.Labels.Count, hasBias: true);
        RegisterComponents();
    }

    public Tensor Forward(Tensor first) => out_proj.call(dense.call(first).tanh());
}
