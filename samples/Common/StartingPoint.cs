using TorchSharp;

namespace Dpo.Samples;

/// <summary>Where training starts: a model and its tokenizer, out of a folder or made here.</summary>
internal static class StartingPoint
{
    /// <summary>Where a run on preferences starts.</summary>
    public static (TransformerModel Model, TextTokenizer Tokenizer) Of(
        TrainingSettings settings, IEnumerable<PreferenceExample> examples) => Create(
            settings.Model, settings.Bos, Preferences.Texts(examples), settings.MaxLength, "--max-length", settings.Seed,
            settings.Precision, settings.Device);

    /// <summary>Loads, or makes, the model that DPO started from once more: what it is compared with, and other methods start
    /// from.</summary>
    public static TransformerModel Reference(TrainingSettings settings, IEnumerable<PreferenceExample> examples) => Of(
        settings.SkipSft ? settings : settings with { Model = Path.Combine(settings.Output, OutputFolder.FineTuning) },
        examples).Model;

    /// <summary>Loads both from a model folder; or, where none is named, makes a byte-level BPE of at most 1,024 entries from the
    /// texts and a small GPT-2 to go with it. All that is drawn from the process's random generator follows from the
    /// seed.</summary>
    /// <param name="folder">The model folder, or null.</param>
    /// <param name="bos">Whether prompts begin with the beginning-of-text token; null: as the folder's tokenizer has it.</param>
    /// <param name="texts">What the byte-level BPE is made from.</param>
    /// <param name="maxLength">The most tokens of a sequence.</param>
    /// <param name="maxLengthOption">What a person sets it by.</param>
    /// <param name="seed">Seeds the small model's weights.</param>
    /// <param name="precision">Of matrix products.</param>
    /// <param name="device">Where the model computes.</param>
    public static (TransformerModel Model, TextTokenizer Tokenizer) Create(
        string? folder, bool? bos, IEnumerable<string> texts, int maxLength, string maxLengthOption, int seed,
        Precision precision, torch.Device device)
    {
        torch.manual_seed(seed);
        // Threads gain a model as small as the one made here nothing, and where another program runs they wait for each other.
        if (folder is null)
            torch.set_num_threads(1);
        var tokenizer = folder is null ? TextTokenizer.Train(texts, vocabularySize: 1024) : TextTokenizer.Load(folder, bos);
        var model = folder is null ? Small(tokenizer, maxLength, seed).to(device) : CausalLanguageModel.Load(folder, device);
        model.Precision = precision;
        if (tokenizer.VocabularySize > model.VocabularySize)
            throw new InvalidInputException(
                $"{folder}: the tokenizer has {tokenizer.VocabularySize} entries, but the model's vocabulary only " +
                $"{model.VocabularySize}; use the tokenizer that came with the model.");
        if (maxLength > model.MaxPositions)
            throw new InvalidInputException(
                $"{folder}: the model has {model.MaxPositions} positions, but sequences may have {maxLength} tokens; give a " +
                $"smaller {maxLengthOption}.");
        return (model, tokenizer);
    }

    /// <summary>Loads what <see cref="Create"/> began with and a stage has saved since.</summary>
    /// <param name="folder">The stage's folder.</param>
    /// <param name="isMadeHere">Whether the model was made here.</param>
    /// <param name="bos">As for <see cref="Create"/>.</param>
    /// <param name="seed">Seeds the process's random generator.</param>
    /// <param name="precision">Of matrix products.</param>
    /// <param name="device">Where the model computes.</param>
    public static (TransformerModel Model, TextTokenizer Tokenizer) GoOn(
        string folder, bool isMadeHere, bool? bos, int seed, Precision precision, torch.Device device)
    {
        torch.manual_seed(seed);
        if (isMadeHere)
            torch.set_num_threads(1);
        var model = CausalLanguageModel.Load(folder, device);
        model.Precision = precision;
        return (model, TextTokenizer.Load(folder, bos));
    }

    private static Gpt2 Small(TextTokenizer tokenizer, int maxPositions, int seed) => new Gpt2(
        new Gpt2Config
        {
            VocabularySize = tokenizer.VocabularySize,
            MaxPositions = maxPositions,
            HiddenSize = 128,
            LayerCount = 2,
            HeadCount = 4,
            EndOfTextId = tokenizer.EndOfTextId,
        }, seed);

    /// <summary>The device of a name, refused where there is none.</summary>
    public static torch.Device Device(string name) => name == "cpu" || torch.cuda.is_available()
        ? torch.device(name)
        : throw new InvalidInputException(
            $"--device {name}: no such device can be used; build with -p:TorchBackend=cuda on a machine with an NVIDIA GPU, or " +
            "use --device cpu.");
}
