using Dpo.Tokenization;

namespace Dpo.Files;

/// <summary>
/// Files of a model folder that nothing here computes with, held as bytes so that a saved model has them too: whoever runs it
/// elsewhere needs its chat template, and whoever passes it on its licence.
/// </summary>
internal sealed class CompanionFiles
{
    private const string TemplatesFolder = "additional_chat_templates";
    private const int MaximumLength = 64 << 20; // tokenizer.model of the largest vocabularies has a few mebibytes

    /// <summary>What the names of texts begin with that say what a model may be used for; they come with any extension.</summary>
    private static readonly string[] terms = ["LICENSE", "LICENCE", "COPYING", "NOTICE", "USE_POLICY"];

    private readonly Dictionary<string, byte[]> files;

    private CompanionFiles(Dictionary<string, byte[]> files) => this.files = files;

    /// <summary>Those of a tokenizer: chat templates, and SentencePiece's own file.</summary>
    public static CompanionFiles OfTokenizer(string folder)
    {
        var templates = Path.Combine(folder, TemplatesFolder);
        string[] more = Directory.Exists(templates) ? Directory.GetFiles(templates, "*.jinja") : [];
        return Read(folder,
        [
            "chat_template.jinja", "chat_template.json", "tokenizer.model",
            .. more.Select(file => Path.Combine(TemplatesFolder, Path.GetFileName(file))),
        ]);
    }

    /// <summary>Those of the weights: how to generate with them, and the terms of their use.</summary>
    public static CompanionFiles OfModel(string folder) => Read(folder,
    [
        TokenizerFolder.GenerationConfig,
        .. Directory.GetFiles(folder).Select(file => Path.GetFileName(file))
            .Where(name => Array.Exists(terms, term => name.StartsWith(term, StringComparison.OrdinalIgnoreCase))),
    ]);

    /// <summary>Writes the files into a folder that there is, each whole or not at all.</summary>
    public void Save(string folder)
    {
        foreach (var (name, bytes) in files)
        {
            var target = Path.Combine(folder, name);
            Directory.CreateDirectory(Path.GetDirectoryName(target)!);
            AtomicFile.Write(target, stream => stream.Write(bytes));
        }
    }

    private static CompanionFiles Read(string folder, IEnumerable<string> names) => new(
        names.Where(name => File.Exists(Path.Combine(folder, name)))
            .ToDictionary(name => name, name => RegularFile.ReadAllBytes(Path.Combine(folder, name), MaximumLength)));
}
