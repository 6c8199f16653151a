namespace Dpo.Models.Architectures;

/// <summary>The shape of a RoBERTa classifier, as its <c>config.json</c> says it.</summary>
internal sealed record RobertaConfig
{
    public required int VocabularySize { get; init; }

    /// <summary>Rows of the position table; the first tokens of a text take the row after <see cref="PadId"/>'s.</summary>
    public required int PositionRows { get; init; }

    public required int TokenTypes { get; init; }

    public required int HiddenSize { get; init; }

    public required int LayerCount { get; init; }

    public required int HeadCount { get; init; }

    public required int InnerSize { get; init; }

    public required double LayerNormEpsilon { get; init; }

    /// <summary>The token in front of every text, <c>&lt;s&gt;</c>.</summary>
    public required int BeginId { get; init; }

    /// <summary>The token behind every text, <c>&lt;/s&gt;</c>.</summary>
    public required int EndId { get; init; }

    /// <summary>The token that fills rows up to equal length, <c>&lt;pad&gt;</c>.</summary>
    public required int PadId { get; init; }

    /// <summary>What the classes are called, by their index.</summary>
    public required IReadOnlyList<string> Labels { get; init; }

    /// <summary>The most tokens of a text, those put in front and behind included; 512 in the published models.</summary>
    public int MaxTokens => PositionRows - PadId - 1;

    /// <summary>Reads the fields and refuses what <see cref="RobertaClassifier"/> does not compute.</summary>
    public static RobertaConfig From(ModelConfig config)
    {
        config.OneOf("model_type", null, "roberta");
        config.OneOf("hidden_act", "gelu", "gelu");
        config.OneOf("position_embedding_type", "absolute", "absolute");
        config.OneOf("problem_type", "single_label_classification", "single_label_classification");
        config.Require("is_decoder", false);
        config.Require("add_cross_attention", false);
        var vocabulary = config.Int("vocab_size");
        var heads = config.Int("num_attention_heads");
        var hidden = config.Multiple("hidden_size", of: "num_attention_heads");
        var result = new RobertaConfig
        {
            VocabularySize = vocabulary,
            PositionRows = config.Int("max_position_embeddings"),
            TokenTypes = config.Int("type_vocab_size"),
            HiddenSize = hidden,
            LayerCount = config.Layers("num_hidden_layers"),
            HeadCount = heads,
            InnerSize = config.Int("intermediate_size"),
            LayerNormEpsilon = config.Double("layer_norm_eps", 1e-12),
            BeginId = Id("bos_token_id", 0),
            EndId = Id("eos_token_id", 2),
            PadId = Id("pad_token_id", 1),
            Labels = ReadLabels(config),
        };
        return result.MaxTokens >= 2
            ? result
            : throw config.Wrong(
                "max_position_embeddings", $"it must be at least {result.PadId + 3}, so that a text has two tokens");

        int Id(string field, int fallback)
        {
            var id = config.Int(field, fallback, minimum: 0);
            return id < vocabulary ? id : throw config.Wrong(field, $"it must be less than vocab_size, {vocabulary}");
        }
    }

    private static string[] ReadLabels(ModelConfig config)
    {
        const string field = "id2label";
        var names = config.Texts(field);
        var labels = Enumerable.Range(0, names.Count).Select(id => names.GetValueOrDefault($"{id}")).OfType<string>().ToArray();
        return labels.Length >= 2 && labels.Length == names.Count && labels.Distinct().Count() == labels.Length
            ? labels
            : throw config.Wrong(field, "it must name each class once, from \"0\" on, and at least two");
    }
}
