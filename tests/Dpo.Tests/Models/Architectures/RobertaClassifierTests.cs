using System.Text.Json;
using static TorchSharp.torch;

namespace Dpo.Tests;

public sealed class RobertaClassifierTests : IDisposable
{
    private static readonly string Source = Fixture.Path("models", "roberta");

    private readonly TemporaryFolder folder = new();
    private readonly JsonElement expected = Numbers.Json("models", "roberta", "expected.json");

    public void Dispose() => folder.Dispose();

    private string[] Texts => [.. expected.GetProperty("texts").EnumerateArray().Select(text => text.GetString()!)];

    private double[] ExpectedLogits(string field) => [.. expected.GetProperty(field).EnumerateArray().SelectMany(row => row.Doubles())];

    [Fact]
    public void Texts_become_transformers_ids_and_long_ones_are_cut()
    {
        using var classifier = RobertaClassifier.Load(Source);
        Assert.Equal(
            expected.GetProperty("ids").EnumerateArray().Select(ids => ids.Ints().Select(id => (long)id)),
            Texts.Select(classifier.Tokenize));
        Assert.Equal(40, classifier.Tokenize(Texts[4]).Length);
        // A special token that a text spells is no special token.
        Assert.Equal([0, 2], classifier.Tokenize("</s><mask>").Where(id => id is < 4 or 386));
    }

    [Fact]
    public void Logits_equal_transformers()
    {
        using var scope = NewDisposeScope();
        using var noGrad = no_grad();
        using var classifier = RobertaClassifier.Load(Source);
        var sequences = Texts.Select(classifier.Tokenize).ToList();
        Numbers.AssertClose(
            ExpectedLogits("logits"), [.. sequences.SelectMany(ids => classifier.Logits([ids]).flatten().ToDoubles())], 5e-5, "single");
        Numbers.AssertClose(ExpectedLogits("padded_batch_logits"), classifier.Logits(sequences[..4]).flatten().ToDoubles(), 5e-5, "batch");
    }

    [Theory]
    [InlineData(1)]
    [InlineData(2)]
    [InlineData(32)]
    public void Log_probabilities_are_in_the_order_of_the_texts_whatever_the_batch(int batchSize)
    {
        using var classifier = RobertaClassifier.Load(Source);
        var logProbs = classifier.LogProbabilities(Texts, batchSize);
        var rows = ExpectedLogits("logits").Chunk(3).ToArray();
        foreach (var (row, actual) in rows.Zip(logProbs))
        {
            var normalizer = Math.Log(row.Sum(Math.Exp));
            Numbers.AssertClose([.. row.Select(logit => logit - normalizer)], actual, 5e-5);
        }
        Assert.Equal(5, logProbs.Count);
        Assert.Empty(classifier.LogProbabilities([]));
    }

    [Fact]
    public void Labels_are_kept_and_unknown_ones_refused()
    {
        using var classifier = RobertaClassifier.Load(Source);
        Assert.Equal(["NEGATIVE", "NEUTRAL", "POSITIVE"], classifier.Labels);
        Assert.Equal(2, classifier.IndexOf("POSITIVE"));
        Assert.Equal(
            "The classifier has no label \"positive\"; it has NEGATIVE, NEUTRAL, POSITIVE.",
            Assert.Throws<InvalidInputException>(() => classifier.IndexOf("positive")).Message);
    }

    /// <summary>As the hub's folders of RoBERTa are: a state dict of torch, with row numbers and a pooling layer that none uses.</summary>
    [Fact]
    public void An_older_folder_gives_the_same_classifier()
    {
        using var scope = NewDisposeScope();
        foreach (var name in new[] { "config.json", "vocab.json", "merges.txt", "tokenizer_config.json" })
            File.Copy(Path.Combine(Source, name), folder.File(name));
        using var file = new SafetensorsReader(Path.Combine(Source, "model.safetensors"));
        folder.Write("pytorch_model.bin", TorchFile.StateDict(
            [
                .. file.Names.Select(name => (name, file.Read(name))),
                ("roberta.embeddings.position_ids", zeros(1, 42)),
                ("roberta.pooler.dense.weight", ones(32, 32)),
            ]));
        using var older = RobertaClassifier.Load(folder.Path);
        using var classifier = RobertaClassifier.Load(Source);
        Assert.Equal(classifier.LogProbabilities(Texts), older.LogProbabilities(Texts));
    }

    [Theory]
    [InlineData("\"model_type\": \"roberta\"", "\"model_type\": \"bert\"", "`model_type` is \"bert\"; Dpo implements roberta for bert.")]
    [InlineData("\"hidden_act\": \"gelu\"", "\"hidden_act\": \"relu\"", "`hidden_act` is \"relu\"; Dpo implements gelu for roberta.")]
    [InlineData("\"is_decoder\": false", "\"is_decoder\": true", "`is_decoder` is true; Dpo implements false for roberta.")]
    [InlineData("\"hidden_size\": 32", "\"hidden_size\": 33", "`hidden_size` is 33; it must be a multiple of num_attention_heads, 4.")]
    [InlineData("\"vocab_size\": 387", "\"vocab_size\": 386", "`vocab_size` is 386; the tokenizer has ids up to 386.")]
    [InlineData("\"eos_token_id\": 2", "\"eos_token_id\": 387", "`eos_token_id` is 387; it must be less than vocab_size, 387.")]
    [InlineData("\"max_position_embeddings\": 42", "\"max_position_embeddings\": 3",
        "`max_position_embeddings` is 3; it must be at least 4, so that a text has two tokens.")]
    [InlineData("\"2\": \"POSITIVE\"", "\"3\": \"POSITIVE\"",
        "`id2label` is {\"0\":\"NEGATIVE\",\"1\":\"NEUTRAL\",\"3\":\"POSIT…; it must name each class once, from \"0\" on, and at least two.")]
    [InlineData("\"2\": \"POSITIVE\"", "\"2\": \"NEUTRAL\"",
        "`id2label` is {\"0\":\"NEGATIVE\",\"1\":\"NEUTRAL\",\"2\":\"NEUTR…; it must name each class once, from \"0\" on, and at least two.")]
    [InlineData("\"2\": \"POSITIVE\"", "\"2\": 2", "`id2label` is {\"0\":\"NEGATIVE\",\"1\":\"NEUTRAL\",\"2\":2}; it must be an object of strings.")]
    public void What_is_not_implemented_is_refused_by_field(string old, string replacement, string message)
    {
        foreach (var name in new[] { "vocab.json", "merges.txt", "tokenizer_config.json" })
            File.Copy(Path.Combine(Source, name), folder.File(name));
        var config = File.ReadAllText(Path.Combine(Source, "config.json"));
        Assert.Contains(old, config, StringComparison.Ordinal);
        folder.Write("config.json", config.Replace(old, replacement, StringComparison.Ordinal));
        var exception = Assert.Throws<InvalidInputException>(() => RobertaClassifier.Load(folder.Path));
        Assert.Equal($"{folder.File("config.json")}: {message}", exception.Message);
    }

    [Fact]
    public void A_text_that_is_null_is_refused()
    {
        using var classifier = RobertaClassifier.Load(Source);
        Assert.Throws<ArgumentNullException>(() => classifier.LogProbabilities([null!]));
    }
}
