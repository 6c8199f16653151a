using System.Buffers;
using System.Text;
using Microsoft.ML.Tokenizers;

namespace Dpo;

/// <summary>
/// A model's tokenizer: byte-level byte pair encoding as GPT-2 defined it, read from a Hugging Face model folder.
/// </summary>
/// <remarks>
/// <para>Every text can be encoded, and <see cref="Decode"/> gives exactly the text back. Nothing is added in front or
/// behind, even where the files ask for it (a template that puts a beginning-of-text token in front is left aside):
/// what a model sees is decided in one place, <see cref="ExampleTokenizer"/>.</para>
/// <para>A <i>special token</i> such as <c>&lt;|endoftext|&gt;</c> stands for something that is not text. Someone else's text may
/// spell it all the same, so <see cref="Encode"/> makes ordinary ids of it unless asked otherwise.</para>
/// </remarks>
public sealed class TextTokenizer
{
    private readonly TokenizerFolder _files;
    private readonly BpeTokenizer _bpe;
    private readonly AddedToken[] _added;
    private readonly AddedToken[] _ordinaryAdded;
    private readonly SearchValues<string> _addedSearch;
    private readonly SearchValues<string> _ordinaryAddedSearch;
    private readonly Dictionary<int, byte[]> _bytes = [];
    private readonly HashSet<int> _special;

    private TextTokenizer(TokenizerFolder files)
    {
        _files = files;
        var definition = TokenizerReader.Read(files);
        // Special tokens stay out of the vocabulary that text is encoded with: no text can become one.
        _bpe = BpeTokenizer.Create(new BpeOptions(definition.Vocabulary)
        {
            Merges = definition.Merges.Select(merge => $"{merge.Left} {merge.Right}"),
            ByteLevel = true,
            PreTokenizer = new ByteLevelPreTokenizer(),
        });
        // Longest first, so that where two begin at the same place the longer one is meant.
        _added = [.. definition.AddedTokens.OrderByDescending(token => token.Content.Length)];
        _ordinaryAdded = [.. _added.Where(token => !token.Special)];
        _addedSearch = SearchValues.Create([.. _added.Select(token => token.Content)], StringComparison.Ordinal);
        _ordinaryAddedSearch = SearchValues.Create([.. _ordinaryAdded.Select(token => token.Content)], StringComparison.Ordinal);
        _special = [.. _added.Where(token => token.Special).Select(token => token.Id)];
        foreach (var (token, id) in definition.Vocabulary)
            _bytes[id] = ByteLevel.Decode(token);
        foreach (var token in _added)
            _bytes[token.Id] = Encoding.UTF8.GetBytes(token.Content);
        EndOfTextId = definition.EndOfTextId;
        PadId = definition.PadId;
        VocabularySize = _bytes.Keys.Max() + 1;
    }

    /// <summary>The id that ends every completion (<c>eos_token</c>; GPT-2's <c>&lt;|endoftext|&gt;</c>).</summary>
    public int EndOfTextId { get; }

    /// <summary>The id that fills rows up to equal length (<c>pad_token</c>); null where the files name none.</summary>
    public int? PadId { get; }

    /// <summary>The highest id plus one: the least number of rows a model's embedding needs.</summary>
    public int VocabularySize { get; }

    /// <summary>
    /// Loads the tokenizer of a model folder: <c>tokenizer.json</c>, or GPT-2's older <c>vocab.json</c> and
    /// <c>merges.txt</c>.
    /// </summary>
    /// <remarks>
    /// The special tokens are named by <c>tokenizer_config.json</c>, else <c>special_tokens_map.json</c>, else by id in
    /// <c>generation_config.json</c> or <c>config.json</c>; the older layout falls back to <c>&lt;|endoftext|&gt;</c>.
    /// </remarks>
    /// <param name="folder">The model folder.</param>
    /// <exception cref="InvalidInputException">A file is missing or malformed, or asks for something other than GPT-2's
    /// byte-level BPE; the message names the file and the field.</exception>
    public static TextTokenizer Load(string folder)
    {
        ArgumentNullException.ThrowIfNull(folder);
        return new TextTokenizer(TokenizerFolder.Read(folder));
    }

    /// <summary>
    /// Trains a small byte-level BPE on a corpus: id 0 is <c>&lt;|endoftext|&gt;</c>, 1 to 256 are the bytes 0 to 255, and
    /// the merges follow in the order they were found.
    /// </summary>
    /// <remarks>
    /// Every step joins the pair of neighbouring tokens that occurs most often within words; of equally frequent pairs, the
    /// one with the lowest left id, then the lowest right id. The same texts give the same tokenizer on every machine.
    /// Meant for generated corpora and about a thousand entries: every step counts all distinct words again.
    /// </remarks>
    /// <param name="texts">The corpus. Its order does not matter.</param>
    /// <param name="vocabularySize">The number of entries, at least 257. The vocabulary stays smaller where no pair occurs
    /// twice any more.</param>
    public static TextTokenizer Train(IEnumerable<string> texts, int vocabularySize)
    {
        ArgumentNullException.ThrowIfNull(texts);
        ArgumentOutOfRangeException.ThrowIfLessThan(vocabularySize, BpeTrainer.SmallestVocabulary);
        return new TextTokenizer(BpeTrainer.Train(texts, vocabularySize));
    }

    /// <summary>Encodes a text into ids.</summary>
    /// <param name="text">Any text. An unpaired surrogate, which no UTF-8 can hold, is encoded as U+FFFD.</param>
    /// <param name="allowSpecial">False (the default, and right for data): special tokens spelled in the text are ordinary
    /// text and never become their ids. True: they do, as in transformers.</param>
    public IReadOnlyList<int> Encode(string text, bool allowSpecial = false)
    {
        ArgumentNullException.ThrowIfNull(text);
        // The library would encode half a surrogate pair as three bytes that no UTF-8 reader accepts.
        if (text.AsSpan().ContainsAnyInRange('\uD800', '\uDFFF'))
            text = string.Concat(text.EnumerateRunes());
        var tokens = allowSpecial ? _added : _ordinaryAdded;
        var search = allowSpecial ? _addedSearch : _ordinaryAddedSearch;
        var ids = new List<int>();
        var rest = text.AsSpan();
        while (!rest.IsEmpty)
        {
            var at = rest.IndexOfAny(search);
            var plain = at < 0 ? rest : rest[..at];
            if (!plain.IsEmpty)
                ids.AddRange(_bpe.EncodeToIds(plain, considerPreTokenization: true, considerNormalization: false));
            rest = rest[plain.Length..];
            if (rest.IsEmpty)
                break;
            foreach (var token in tokens)
            {
                if (!rest.StartsWith(token.Content, StringComparison.Ordinal))
                    continue;
                ids.Add(token.Id);
                rest = rest[token.Content.Length..];
                break;
            }
        }
        return ids;
    }

    /// <summary>Decodes ids into text.</summary>
    /// <remarks>A token may hold a part of a character. What is left incomplete becomes U+FFFD, one for every maximal
    /// beginning of a character and one for every stray byte.</remarks>
    /// <param name="ids">Ids of this tokenizer.</param>
    /// <param name="skipSpecial">Whether special tokens are left out of the text.</param>
    /// <exception cref="ArgumentOutOfRangeException">An id belongs to no token.</exception>
    public string Decode(IEnumerable<int> ids, bool skipSpecial = false)
    {
        ArgumentNullException.ThrowIfNull(ids);
        var text = new ArrayBufferWriter<byte>();
        foreach (var id in ids)
        {
            if (!_bytes.TryGetValue(id, out var bytes))
                throw new ArgumentOutOfRangeException(nameof(ids), id, $"The id {id} belongs to no token of this tokenizer.");
            if (!(skipSpecial && _special.Contains(id)))
                text.Write(bytes);
        }
        return Encoding.UTF8.GetString(text.WrittenSpan);
    }

    /// <summary>
    /// Writes the files this tokenizer was loaded from, unchanged, so that a model saved into the same folder is complete.
    /// <c>config.json</c> is the model's and is not written.
    /// </summary>
    /// <param name="folder">The target folder; it is created where it does not exist.</param>
    public void Save(string folder)
    {
        ArgumentNullException.ThrowIfNull(folder);
        _files.Save(folder);
    }
}
