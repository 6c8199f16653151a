using System.Runtime.InteropServices;
using Dpo.Files;
using Dpo.Native;
using Dpo.Tokenization;
using Dpo.Weights;
using TorchSharp;
using static TorchSharp.torch;

namespace Dpo.Models.Architectures;

/// <summary>
/// A text classifier built on RoBERTa (Liu et al. 2019), such as <c>siebert/sentiment-roberta-large-english</c>: the reward of
/// the paper's IMDb experiment is what it says of a continued review.
/// </summary>
/// <remarks>
/// It judges and is not trained. Every text is put between <c>&lt;s&gt;</c> and <c>&lt;/s&gt;</c>, and where it is too long for
/// the model's positions (512 in the published models) its end is cut off. Special tokens spelled in a text stay text.
/// <code>
/// using var classifier = RobertaClassifier.Load("siebert/sentiment-roberta-large-english");
/// var positive = classifier.IndexOf("POSITIVE");
/// var rewards = classifier.LogProbabilities(["A masterpiece.", "A bore."]).Select(text => Math.Exp(text[positive]));
/// </code>
/// </remarks>
public sealed class RobertaClassifier : IDisposable
{
    private readonly RobertaConfig config;
    private readonly TextTokenizer tokenizer;
    private readonly Roberta model;
    private readonly Device device;

    private RobertaClassifier(RobertaConfig config, TextTokenizer tokenizer, Roberta model, Device device)
    {
        this.config = config;
        this.tokenizer = tokenizer;
        this.model = model;
        this.device = device;
    }

    /// <summary>What the classes are called (<c>id2label</c>), by their index.</summary>
    public IReadOnlyList<string> Labels => config.Labels;

    /// <summary>
    /// Loads a model folder in Hugging Face's layout: <c>config.json</c>, the tokenizer (<c>vocab.json</c> and <c>merges.txt</c>,
    /// or <c>tokenizer.json</c>), and the weights as safetensors or <c>pytorch_model.bin</c>. Weights become fp32.
    /// </summary>
    /// <param name="folder">The folder of a <c>RobertaForSequenceClassification</c>; or its name on the Hugging Face hub, such as
    /// <c>siebert/sentiment-roberta-large-english</c>, where <c>hf download</c> has put it into the local cache.</param>
    /// <param name="device">Where the weights go; the CPU by default.</param>
    /// <returns>The classifier; the caller disposes it.</returns>
    /// <exception cref="InvalidInputException">The folder lacks a file, or a file holds what Dpo does not implement; the
    /// message names the file and the field or tensor.</exception>
    public static RobertaClassifier Load(string folder, Device? device = null)
    {
        folder = HubCache.Resolve(folder);
        var file = ModelConfig.Read(folder);
        var config = RobertaConfig.From(file);
        var tokenizer = TextTokenizer.Load(folder);
        if (tokenizer.VocabularySize > config.VocabularySize)
            throw file.Wrong("vocab_size", $"the tokenizer has ids up to {tokenizer.VocabularySize - 1}");
        NativeBackend.Require(device ?? CPU);
        var model = Create(file, config);
        try
        {
            using var weights = ModelWeights.Open(folder);
            weights.LoadInto(
                [.. model.named_parameters().Select(named => (named.name, (Tensor)named.parameter))], Roberta.IsDerived);
            model.to(device ?? CPU);
            return new RobertaClassifier(config, tokenizer, model, device ?? CPU);
        }
        catch
        {
            model.Dispose();
            throw;
        }
    }

    private static Roberta Create(ModelConfig file, RobertaConfig config)
    {
        try
        {
            return new Roberta(config);
        }
        catch (ExternalException e)
        {
            throw ModelFolder.TooLarge(file, e);
        }
    }

    /// <summary>The index of a class.</summary>
    /// <param name="label">Its name, spelled as in <see cref="Labels"/>.</param>
    /// <exception cref="InvalidInputException">The model has no such class; the message names those it has.</exception>
    public int IndexOf(string label)
    {
        var index = Labels.ToList().IndexOf(label);
        return index >= 0
            ? index
            : throw new InvalidInputException($"The classifier has no label \"{label}\"; it has {string.Join(", ", Labels)}.");
    }

    /// <summary>Judges texts.</summary>
    /// <param name="texts">Any texts, empty ones too.</param>
    /// <param name="batchSize">How many texts of similar length go through the model together, padded to the longest.</param>
    /// <returns>For each text, in the order given, the natural logarithm of the probability of every class.</returns>
    public IReadOnlyList<IReadOnlyList<double>> LogProbabilities(IReadOnlyList<string> texts, int batchSize = 32)
    {
        ArgumentNullException.ThrowIfNull(texts);
        ArgumentOutOfRangeException.ThrowIfLessThan(batchSize, 1);
        using var noGrad = no_grad();
        var sequences = texts.Select(Tokenize).ToList();
        var results = new IReadOnlyList<double>[texts.Count];
        foreach (var members in Enumerable.Range(0, texts.Count).OrderBy(index => sequences[index].Length).Chunk(batchSize))
        {
            using var scope = NewDisposeScope();
            var logProbs = Logits([.. members.Select(index => sequences[index])]).log_softmax(1).to(float64).cpu();
            foreach (var (index, values) in members.Zip(logProbs.data<double>().ToArray().Chunk(Labels.Count)))
                results[index] = values;
        }
        return results;
    }

    /// <summary>The ids that the model sees of a text.</summary>
    internal long[] Tokenize(string text)
    {
        ArgumentNullException.ThrowIfNull(text);
        var ids = tokenizer.Encode(text).Take(config.MaxTokens - 2).Select(id => (long)id);
        return [config.BeginId, .. ids, config.EndId];
    }

    /// <summary>The logits of a batch, <c>[B, labels]</c>.</summary>
    internal Tensor Logits(IReadOnlyList<long[]> sequences)
    {
        var width = sequences.Max(ids => ids.Length);
        var padded = sequences.SelectMany(ids => ids.Concat(Enumerable.Repeat((long)config.PadId, width - ids.Length))).ToArray();
        var lengths = DeviceCopy.Of([.. sequences.Select(ids => (long)ids.Length)], device);
        var columns = HeldScalars.Range(width, device);
        var real = columns.lt(lengths.unsqueeze(1));
        // Padding has a position like any other token: nothing sees it.
        var positions = columns.Plus(config.PadId + 1).expand(sequences.Count, -1);
        return model.Logits(DeviceCopy.Of(padded, device).view(sequences.Count, width), positions, real);
    }

    /// <summary>Frees the weights.</summary>
    public void Dispose() => model.Dispose();
}
