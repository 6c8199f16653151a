using System.Text.Json.Nodes;
using static TorchSharp.torch;

namespace Dpo.Tests;

/// <summary>What an architecture of one's own is told where it does not keep to the contract; that one works which does is shown
/// by a program against the package.</summary>
public class OwnArchitectureTests
{
    private const string Type = "own_architecture_tests";

    private static ModelConfig Fields => new(new JsonObject { ["model_type"] = Type, ["vocab_size"] = 7 });

    /// <summary>A table, and attention of the table's vectors to themselves.</summary>
    private class Own : TransformerModel
    {
        private readonly EmbeddingTable table;

        protected Own(EmbeddingTable table)
            : base(nameof(Own), Fields) => this.table = table;

        public Own()
            : this(new EmbeddingTable(7, 4)) => Assemble(table);

        public AttentionStyle Style { get; init; }

        public EmbeddingTable Table => table;

        public override int MaxPositions => 9;

        public override int LayerCount => 1;

        public override int HeadSize => 4;

        public override Tensor HiddenStates(Tensor ids, Attention attention)
        {
            var vectors = table.call(ids).unsqueeze(1);
            return attention.Attend(0, vectors, vectors, vectors, Style);
        }
    }

    private sealed class Unfinished() : Own(new EmbeddingTable(7, 4));

    private sealed class Elsewhere : Own
    {
        private static readonly EmbeddingTable elsewhere = new(7, 4);

        public Elsewhere()
            : base(new EmbeddingTable(7, 4)) => Assemble(elsewhere);
    }

    [Fact]
    public void A_type_that_nobody_registered_is_refused_with_those_that_are_known()
    {
        using var folder = new TemporaryFolder();
        folder.Write("config.json", """{"model_type": "mamba"}""");
        var message = Assert.Throws<InvalidInputException>(() => CausalLanguageModel.Load(folder.Path)).Message;
        Assert.StartsWith(
            $"{folder.File("config.json")}: `model_type` is \"mamba\"; Dpo implements gemma2, gpt2, gpt_neox, gptj, llama, mistral, ",
            message, StringComparison.Ordinal);
        Assert.EndsWith("; one of your own is made known by ModelTypes.Register.", message, StringComparison.Ordinal);
    }

    [Fact]
    public void A_folder_is_computed_by_the_class_that_was_registered_last()
    {
        using var folder = new TemporaryFolder();
        ModelTypes.Register(Type, _ => throw new InvalidOperationException("the first"));
        ModelTypes.Register(Type, _ => new Own());
        using (var model = new Own())
        {
            using var noGrad = no_grad();
            model.Table.Weight.fill_(2);
            model.Save(folder.Path);
        }
        using var loaded = CausalLanguageModel.Load(folder.Path);
        var mean = Assert.IsType<Own>(loaded).Table.Weight.mean().item<float>();
        Assert.Equal(("table.weight", 7, 2f), (loaded.TokenVectorsName, loaded.VocabularySize, mean));
    }

    [Fact]
    public void A_window_or_a_cap_that_the_model_did_not_tell_of_is_refused()
    {
        using var scope = NewDisposeScope();
        using var windowed = new Own { Style = new(Window: 2) };
        var layout = new SequenceLayout([new(3, [2])]);
        const string message = "A layer attends through a window of 2 positions, but the model said so of none; " +
            "its StyleOf must say what its layers do.";
        Assert.Equal(message, Assert.Throws<InvalidOperationException>(() => windowed.call(zeros(4, int64), layout)).Message);
        Assert.Equal(message, Assert.Throws<InvalidOperationException>(
            () => windowed.HiddenStates(zeros(4, int64), new BucketedAttention(layout, CPU, float32))).Message);

        using var capped = new Own { Style = new(SoftCap: 2) };
        Assert.StartsWith("A layer caps its scores, but the model said so of none", Assert.Throws<InvalidOperationException>(
            () => capped.HiddenStates(zeros(4, int64), new FlashAttention(layout, CPU))).Message, StringComparison.Ordinal);
    }

    [Fact]
    public void A_constructor_must_say_what_embedding_and_head_are()
    {
        using var unfinished = new Unfinished();
        Assert.Equal(
            "The constructor of Unfinished must end with Assemble, which says what its embedding and its head are.",
            Assert.Throws<InvalidOperationException>(() => unfinished.Head).Message);
        Assert.Equal(
            "The token embedding is in no field of Elsewhere, nor of its modules. (Parameter 'tokens')",
            Assert.Throws<ArgumentException>(() => new Elsewhere()).Message);
    }

    [Fact]
    public void Layers_refuse_sizes_that_make_none()
    {
        Assert.Throws<ArgumentOutOfRangeException>(() => new LinearLayer(0, 3, hasBias: false));
        Assert.Throws<ArgumentOutOfRangeException>(() => new EmbeddingTable(3, 0));
        Assert.Throws<ArgumentOutOfRangeException>(() => new RmsNorm(0, 1e-6));
        Assert.Throws<ArgumentOutOfRangeException>(() => new LayerNormalization(0, 1e-6));
        Assert.Throws<ArgumentOutOfRangeException>(() => new RotaryEmbedding(3, new RotaryParameters(10000)));
        Assert.Throws<ArgumentException>(() => new GroupedQueryAttention(0, 8, headCount: 4, keyValueHeadCount: 3, headSize: 2));
    }
}
