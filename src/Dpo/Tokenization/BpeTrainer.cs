using System.Runtime.InteropServices;
using System.Text.Encodings.Web;
using System.Text.Json;

namespace Dpo.Tokenization;

/// <summary>Learns the merges of <see cref="TextTokenizer.Train"/> and writes them as Hugging Face's files.</summary>
internal static class BpeTrainer
{
    private const string EndOfText = "<|endoftext|>";

    /// <summary>The end-of-text token and the 256 bytes.</summary>
    public const int SmallestVocabulary = 257;

    public static TokenizerFolder Train(IEnumerable<string> texts, int vocabularySize)
    {
        var tokens = new List<string> { EndOfText };
        foreach (var character in ByteLevel.Characters)
            tokens.Add(character.ToString());
        var ids = tokens.Index().ToDictionary(token => token.Item, token => token.Index, StringComparer.Ordinal);
        // No word holds both "<|" and letters, so no merge can spell the end-of-text token.
        var words = CountWords(texts, ids);
        var merges = new List<(string Left, string Right)>();
        while (tokens.Count < vocabularySize && MostFrequentPair(words) is var (left, right))
        {
            var joined = tokens[left] + tokens[right];
            // Two different merges may spell the same token.
            if (ids.TryAdd(joined, tokens.Count))
                tokens.Add(joined);
            merges.Add((tokens[left], tokens[right]));
            foreach (var word in words)
                word.Join(left, right, ids[joined]);
        }
        return new TokenizerFolder("trained tokenizer", new Dictionary<string, byte[]>
        {
            [TokenizerFolder.TokenizerJson] = TokenizerJson(tokens, merges),
            [TokenizerFolder.TokenizerConfig] = Serialize(new
            {
                bos_token = EndOfText,
                clean_up_tokenization_spaces = false,
                eos_token = EndOfText,
                tokenizer_class = "PreTrainedTokenizerFast",
                unk_token = EndOfText,
            }),
        });
    }

    private static List<Word> CountWords(IEnumerable<string> texts, Dictionary<string, int> ids)
    {
        var counts = new Dictionary<string, long>(StringComparer.Ordinal);
        foreach (var text in texts)
        {
            foreach (var word in TokenizerPipeline.Gpt2.PreTokenize(text, TextPlace.Beginning))
                CollectionsMarshal.GetValueRefOrAddDefault(counts, ByteLevel.Encode(word.Span), out _)++;
        }
        return [.. counts.Select(word => new Word([.. word.Key.Select(c => ids[c.ToString()])], word.Value))];
    }

    private static (int Left, int Right)? MostFrequentPair(List<Word> words)
    {
        var counts = new Dictionary<(int Left, int Right), long>();
        foreach (var word in words)
        {
            for (var i = 1; i < word.Tokens.Count; i++)
                CollectionsMarshal.GetValueRefOrAddDefault(counts, (word.Tokens[i - 1], word.Tokens[i]), out _) += word.Count;
        }
        var best = counts.Where(pair => pair.Value > 1)
            .OrderByDescending(pair => pair.Value).ThenBy(pair => pair.Key)
            .FirstOrDefault();
        return best.Value > 0 ? best.Key : null;
    }

    private static byte[] TokenizerJson(List<string> tokens, List<(string Left, string Right)> merges)
    {
        var byteLevel = new { type = "ByteLevel", add_prefix_space = false, trim_offsets = true, use_regex = true };
        return Serialize(new
        {
            version = "1.0",
            truncation = (object?)null,
            padding = (object?)null,
            added_tokens = new[]
            {
                new
                {
                    id = 0,
                    content = EndOfText,
                    single_word = false,
                    lstrip = false,
                    rstrip = false,
                    normalized = false,
                    special = true,
                },
            },
            normalizer = (object?)null,
            pre_tokenizer = byteLevel,
            post_processor = (object?)null,
            decoder = byteLevel,
            model = new
            {
                type = "BPE",
                dropout = (float?)null,
                unk_token = (string?)null,
                continuing_subword_prefix = (string?)null,
                end_of_word_suffix = (string?)null,
                fuse_unk = false,
                byte_fallback = false,
                ignore_merges = false,
                vocab = tokens.Index().ToDictionary(token => token.Item, token => token.Index),
                merges = merges.Select(merge => new[] { merge.Left, merge.Right }),
            },
        });
    }

    private static readonly JsonSerializerOptions Readable =
        new() { WriteIndented = true, Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping, NewLine = "\n" };

    private static byte[] Serialize(object value) => JsonSerializer.SerializeToUtf8Bytes(value, Readable);

    /// <summary>A distinct word of the corpus, as tokens, and how often it occurs.</summary>
    private sealed record Word(List<int> Tokens, long Count)
    {
        public void Join(int left, int right, int joined)
        {
            var kept = 0;
            for (var i = 0; i < Tokens.Count; i++)
            {
                var pair = i + 1 < Tokens.Count && Tokens[i] == left && Tokens[i + 1] == right;
                Tokens[kept++] = pair ? joined : Tokens[i];
                i += pair ? 1 : 0;
            }
            Tokens.RemoveRange(kept, Tokens.Count - kept);
        }
    }
}
