using System.Buffers;
using System.Collections.Concurrent;
using System.Text;
using Dpo.Files;
using Dpo.Tokenization.ChatTemplates;
using Microsoft.ML.Tokenizers;

namespace Dpo.Tokenization;

/// <summary>
/// A model's tokenizer: byte pair encoding, read from a Hugging Face model folder. It is byte-level as in GPT-2, Pythia, Llama 3
/// and Qwen, or has SentencePiece's word marks and falls back to bytes, as in Llama 2, Mistral, Gemma and Phi-3.
/// </summary>
/// <remarks>
/// <para>Every text can be encoded, and <see cref="Decode"/> gives the text back: exactly, unless the tokenizer normalizes (then
/// what Unicode's form C makes of it), or marks words (then a text may lose a space at its beginning). No token is added in front
/// or behind by <see cref="Encode(string, bool, bool)"/>; <see cref="EncodePrompt(string)"/> begins with the tokens that the
/// model's own tokenizer puts in front of a text, such as Llama's <c>&lt;s&gt;</c>. What stands behind a completion is decided by
/// <see cref="ExampleTokenizer"/>.</para>
/// <para>A <i>special token</i> such as <c>&lt;|endoftext|&gt;</c> stands for something that is not text. Someone else's text may
/// spell it all the same, so <see cref="Encode(string, bool, bool)"/> makes ordinary ids of it unless asked otherwise. Special
/// are the tokens that any of the files says are, and those spelled <c>&lt;|…|&gt;</c>, which mark the turns of chats.</para>
/// <para>Ids are those of Hugging Face's tokenizers on every machine; what <c>tokenizer.json</c> asks for and is not implemented
/// is refused. Safe for use by several threads.</para>
/// </remarks>
public sealed class TextTokenizer
{
    // Words come again and again; the longest and the rarest are not worth their memory.
    private const int LongestKeptWord = 64;
    private const int MostKeptWords = 100_000;

    private readonly TokenizerFolder files;
    private readonly TokenizerPipeline pipeline;
    private readonly BpeTokenizer? library;
    private readonly BytePairMerges merges;
    private readonly WordSeams? seams;
    private readonly Dictionary<string, int> wholeWords;
    private readonly ConcurrentDictionary<string, int[]> kept = new(StringComparer.Ordinal);
    private readonly (AddedTokens Raw, AddedTokens Normalized) added;
    private readonly (AddedTokens Raw, AddedTokens Normalized) ordinaryAdded;
    private readonly Dictionary<int, string> tokens = [];
    private readonly Dictionary<string, int> addedIds;
    private readonly Dictionary<int, byte[]> bytes = [];
    private readonly HashSet<int> special;
    private int keptCount;

    private TextTokenizer(TokenizerFolder files, bool? bos = null)
    {
        this.files = files;
        // Special tokens stay out of the vocabulary that text is encoded with: no text can become one.
        var definition = TokenizerReader.Read(files);
        var (vocabulary, merges) = (definition.Vocabulary, definition.Merges);
        pipeline = definition.Pipeline;
        wholeWords = new(pipeline.IgnoreMerges ? vocabulary : new Dictionary<string, int>(), StringComparer.Ordinal);
        if (pipeline.IsByteLevel)
        {
            library = BpeTokenizer.Create(new BpeOptions(vocabulary)
            {
                Merges = merges.Select(merge => $"{merge.Left} {merge.Right}"),
                ByteLevel = true,
            });
        }
        else if (!pipeline.IgnoreMerges)
        {
            // A word that is taken whole must not be cut any further, so only where none is.
            seams = new WordSeams(vocabulary, merges);
        }
        this.merges = new BytePairMerges(vocabulary, merges,
            [.. Enumerable.Range(0, 256).Select(b => vocabulary.GetValueOrDefault(ByteLevel.Fallback(b), -1))]);
        added = Find(definition.AddedTokens);
        ordinaryAdded = Find(definition.AddedTokens.Where(token => !token.Special));
        addedIds = definition.AddedTokens.ToDictionary(token => token.Content, token => token.Id, StringComparer.Ordinal);
        special = [.. definition.AddedTokens.Where(token => token.Special).Select(token => token.Id)];
        foreach (var (token, id) in vocabulary)
            (tokens[id], bytes[id]) = (token, ByteLevel.Decode(token));
        foreach (var token in definition.AddedTokens)
            (tokens[token.Id], bytes[token.Id]) = (Spelling(token), Encoding.UTF8.GetBytes(Spelling(token)));
        EndOfTextId = definition.EndOfTextId;
        StopIds = definition.StopIds;
        BeginningOfTextId = definition.BeginningOfTextId;
        BeginningIds = BeginningOf(definition, bos, files.Folder);
        PadId = definition.PadId;
        VocabularySize = tokens.Keys.Max() + 1;
    }

    /// <summary>What prompts begin with.</summary>
    private static IReadOnlyList<int> BeginningOf(TokenizerDefinition definition, bool? bos, string folder) => bos switch
    {
        false => [],
        true when definition.BeginningIds.Count == 0 => [definition.BeginningOfTextId ?? throw new InvalidInputException(
            $"{folder}: prompts were to begin with the beginning-of-text token, but the tokenizer's files name none " +
            "(bos_token); leave that to its default.")],
        _ => definition.BeginningIds,
    };

    /// <summary>The id that ends every completion (<c>eos_token</c>; GPT-2's <c>&lt;|endoftext|&gt;</c>).</summary>
    public int EndOfTextId { get; }

    /// <summary>The ids at which a model has ended what it writes: <see cref="EndOfTextId"/>, and the others that
    /// <c>generation_config.json</c> names, such as the end of a chat's turn.</summary>
    public IReadOnlyList<int> StopIds { get; }

    /// <summary>The id in front of every text the model was trained on (<c>bos_token</c>; Llama's <c>&lt;s&gt;</c>); null where
    /// the files name none. Whether it is put there, <see cref="BeginningIds"/> says.</summary>
    public int? BeginningOfTextId { get; }

    /// <summary>What every prompt begins with (<see cref="EncodePrompt(string)"/>): what the model's own tokenizer puts in front
    /// of a text (<c>add_bos_token</c>, or else the post-processor), unless <see cref="Load"/> was told otherwise. Empty for
    /// GPT-2.</summary>
    public IReadOnlyList<int> BeginningIds { get; }

    /// <summary>The id that fills rows up to equal length (<c>pad_token</c>); null where the files name none.</summary>
    public int? PadId { get; }

    /// <summary>The highest id plus one: the least number of rows a model's embedding needs.</summary>
    public int VocabularySize { get; }

    /// <summary>What it is known by in files of its ids.</summary>
    internal TokenizerIdentity Identity => TokenizerIdentity.Of(files.Folder, TokenizerReader.Read(files), BeginningIds);

    /// <summary>
    /// Loads the tokenizer of a model folder: <c>tokenizer.json</c>, or GPT-2's older <c>vocab.json</c> and
    /// <c>merges.txt</c>.
    /// </summary>
    /// <remarks>
    /// The special tokens are named by <c>tokenizer_config.json</c>, else <c>special_tokens_map.json</c>, else by id in
    /// <c>generation_config.json</c> or <c>config.json</c>; the older layout falls back to <c>&lt;|endoftext|&gt;</c>.
    /// </remarks>
    /// <param name="folder">The model folder; or the model's name on the Hugging Face hub, where <c>hf download</c> has put it
    /// into the local cache.</param>
    /// <param name="bos">Whether prompts begin with the beginning-of-text token. Null, the default: as the model's own tokenizer
    /// has it, with for Llama, Mistral and Gemma, without for GPT-2, Pythia and Qwen. It is not written by <see cref="Save"/>:
    /// whoever loads the saved files says it again.</param>
    /// <exception cref="InvalidInputException">A file is missing or malformed, or asks for what is not implemented; the
    /// message names the file and the field. Or <paramref name="bos"/> is true, and there is no such token.</exception>
    public static TextTokenizer Load(string folder, bool? bos = null)
    {
        ArgumentNullException.ThrowIfNull(folder);
        return new TextTokenizer(TokenizerFolder.Read(HubCache.Resolve(folder)), bos);
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
    /// <param name="continues">Whether the text continues another, as a completion its prompt. Tokenizers that put a word mark in
    /// front of a text (Llama 2's <c>▁</c>) leave it out then; others make no difference.</param>
    public IReadOnlyList<int> Encode(string text, bool allowSpecial = false, bool continues = false)
    {
        ArgumentNullException.ThrowIfNull(text);
        var ids = new List<int>();
        Encode(text, allowSpecial ? added : ordinaryAdded, continues ? TextPlace.Continuation : TextPlace.Beginning, ids);
        return ids;
    }

    /// <summary>Encodes what a <see cref="ChatTemplate"/> rendered: its special tokens become their ids; text, whatever it
    /// spells, does not.</summary>
    /// <param name="segments">The rendered messages.</param>
    /// <param name="continues">Whether they continue another text, as a completion its prompt.</param>
    /// <exception cref="InvalidInputException">The tokenizer has no such special token.</exception>
    public IReadOnlyList<int> Encode(IReadOnlyList<ChatSegment> segments, bool continues = false)
    {
        ArgumentNullException.ThrowIfNull(segments);
        var ids = new List<int>();
        var place = continues ? TextPlace.Continuation : TextPlace.Beginning;
        foreach (var segment in segments)
        {
            if (segment.Kind == ChatSegmentKind.Text)
                Encode(segment.Text, ordinaryAdded, place, ids);
            else
                ids.Add(segment.Kind == ChatSegmentKind.EndOfText ? EndOfTextId : Special(segment.Text));
            place = TextPlace.Inside;
        }
        return ids;
    }

    /// <summary>Encodes a text that a completion is to follow: <see cref="BeginningIds"/>, and the text's own ids. Data, sampling
    /// and log-probabilities see a prompt alike because all of them encode it by this.</summary>
    /// <param name="text">Any text; special tokens spelled in it stay text.</param>
    public IReadOnlyList<int> EncodePrompt(string text) => [.. BeginningIds, .. Encode(text)];

    /// <summary>Encodes messages that a completion is to follow. Where the template wrote <see cref="BeginningIds"/> itself, they
    /// are not put in front again.</summary>
    /// <param name="segments">The rendered messages.</param>
    /// <exception cref="InvalidInputException">The tokenizer has no such special token.</exception>
    public IReadOnlyList<int> EncodePrompt(IReadOnlyList<ChatSegment> segments)
    {
        var ids = Encode(segments);
        return BeginsAsAsked(ids) ? ids : [.. BeginningIds, .. ids];
    }

    /// <summary>Whether ids begin with <see cref="BeginningIds"/>.</summary>
    internal bool BeginsAsAsked(IReadOnlyList<int> ids) => ids.Take(BeginningIds.Count).SequenceEqual(BeginningIds);

    /// <summary>Decodes ids into text.</summary>
    /// <remarks>A token may hold a part of a character. What is left incomplete becomes U+FFFD, one for every maximal
    /// beginning of a character and one for every stray byte; where a tokenizer falls back to bytes, one for every byte of a row
    /// of them that is not UTF-8 as a whole. Tokenizers that put a word mark in front of a text take one space from its
    /// beginning, so a completion is best decoded with its prompt. An id that no token has, as in the rows that many models pad
    /// their vocabulary with, has no text.</remarks>
    /// <param name="ids">Ids from 0.</param>
    /// <param name="skipSpecial">Whether special tokens are left out of the text.</param>
    /// <exception cref="ArgumentOutOfRangeException">An id is negative.</exception>
    public string Decode(IEnumerable<int> ids, bool skipSpecial = false)
    {
        ArgumentNullException.ThrowIfNull(ids);
        var shown = new List<int>();
        foreach (var id in ids)
        {
            if (id < 0)
                throw new ArgumentOutOfRangeException(nameof(ids), id, $"{id} is no id of a token; ids are numbers from 0.");
            if (HasToken(id) && !(skipSpecial && special.Contains(id)))
                shown.Add(id);
        }
        if (!pipeline.IsByteLevel)
            return pipeline.Decode(shown.ConvertAll(id => tokens[id]));
        var text = new ArrayBufferWriter<byte>();
        shown.ForEach(id => text.Write(bytes[id]));
        return Encoding.UTF8.GetString(text.WrittenSpan);
    }

    /// <summary>Whether an id belongs to a token; others have no text.</summary>
    internal bool HasToken(int id) => tokens.ContainsKey(id);

    /// <summary>Whether tokens spell bytes, so that their text is that of their bytes together.</summary>
    internal bool IsByteLevel => pipeline.IsByteLevel;

    /// <summary>Whether no later token changes the text up to this one, unless a character is incomplete.</summary>
    internal bool EndsPiece(int id) => pipeline.IsByteLevel
        || (pipeline.DecodesPiecewise && HasToken(id) && !special.Contains(id)
            && DecoderStep.ByteFallback.ByteOf(tokens[id]) is null);

    private int Special(string token) => addedIds.TryGetValue(token, out var id)
        ? id
        : throw new InvalidInputException(
            $"{files.Folder}: the chat template needs the special token '{token}', which the tokenizer does not have; use the " +
            "template the model was trained with.");

    private void Encode(string text, (AddedTokens Raw, AddedTokens Normalized) added, TextPlace first, List<int> ids)
    {
        // No UTF-8 holds half a surrogate pair.
        if (text.AsSpan().ContainsAnyInRange('\uD800', '\uDFFF'))
            text = string.Concat(text.EnumerateRunes());
        foreach (var (start, end, token) in added.Raw.Cut(text))
        {
            if (token is not null)
            {
                ids.Add(token.Id);
                continue;
            }
            var place = start > 0 ? TextPlace.Inside : first;
            var stretch = pipeline.Normalize(text[start..end], place);
            foreach (var (from, to, later) in added.Normalized.Cut(stretch))
            {
                if (later is not null)
                    ids.Add(later.Id);
                else
                    AddWords(stretch[from..to], from > 0 ? TextPlace.Inside : place, ids);
            }
        }
    }

    private void AddWords(string text, TextPlace place, List<int> ids)
    {
        var kept = this.kept.GetAlternateLookup<ReadOnlySpan<char>>();
        var words = pipeline.PreTokenize(text, place);
        if (seams is not null)
            words = words.SelectMany(seams.Cut);
        foreach (var word in words)
        {
            if (!kept.TryGetValue(word.Span, out var known))
            {
                known = EncodeWord(word.Span);
                if (word.Length <= LongestKeptWord && Interlocked.Increment(ref keptCount) <= MostKeptWords)
                    kept[word.Span] = known;
            }
            ids.AddRange(known);
        }
    }

    private int[] EncodeWord(ReadOnlySpan<char> word)
    {
        if (wholeWords.Count > 0
            && wholeWords.TryGetValue(library is null ? word.ToString() : ByteLevel.Encode(word), out var whole))
            return [whole];
        if (library is null)
            return merges.Encode(word);
        // The library's time grows with the square of a word's length: 200,000 letters without a space took it 17 s.
        return word.Length <= LongestKeptWord
            ? [.. library.EncodeToIds(word, considerPreTokenization: false, considerNormalization: false)]
            : merges.Encode(ByteLevel.Encode(word));
    }

    private (AddedTokens Raw, AddedTokens Normalized) Find(IEnumerable<AddedToken> tokens)
    {
        var byStage = tokens.ToLookup(token => token.Normalized, token => (Spelling(token), token));
        return (new AddedTokens(byStage[false]), new AddedTokens(byStage[true]));
    }

    private string Spelling(AddedToken token)
    {
        if (!token.Normalized)
            return token.Content;
        // The empty text would be found everywhere, and nothing be passed by it.
        return pipeline.Normalize(token.Content, TextPlace.Beginning) is { Length: > 0 } text
            ? text
            : throw files.Error(
                TokenizerFolder.TokenizerJson, $"added_tokens holds '{token.Content}', of which the normalizer leaves nothing");
    }

    /// <summary>
    /// Writes the files this tokenizer was loaded from, its chat templates included, unchanged, so that a model saved into the
    /// same folder is complete. <c>config.json</c> is the model's and is not written.
    /// </summary>
    /// <param name="folder">The target folder; it is created where it does not exist.</param>
    public void Save(string folder)
    {
        ArgumentNullException.ThrowIfNull(folder);
        files.Save(folder);
    }
}
