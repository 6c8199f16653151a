using System.Runtime.InteropServices;

namespace Dpo.Tokenization;

/// <summary>
/// Byte pair encoding over the characters of a word: of all neighbouring pairs that have a merge, the earliest merge is made
/// first, the leftmost of equals, until none is left.
/// </summary>
/// <remarks>
/// For what Microsoft.ML.Tokenizers cannot do: byte fallback, where a character the vocabulary lacks becomes its UTF-8 bytes
/// (<c>&lt;0xE2&gt;</c>), and long words. Where text is not cut into words, a word may be a whole book: a heap and a linked list
/// keep that at n log n.
/// </remarks>
internal sealed class BytePairMerges
{
    private readonly Dictionary<string, int> ids;
    private readonly Dictionary<string, int>.AlternateLookup<ReadOnlySpan<char>> idsBySpan;
    private readonly Dictionary<(int Left, int Right), (int Rank, int Joined)> merges = [];
    private readonly int[] bytes;

    /// <param name="vocabulary">The ids of tokens.</param>
    /// <param name="merges">Pairs of tokens of the vocabulary whose joined spelling it holds too, the first ones first.</param>
    /// <param name="bytes">The ids of the 256 bytes, for characters that are not in the vocabulary.</param>
    public BytePairMerges(
        IReadOnlyDictionary<string, int> vocabulary, IReadOnlyList<(string Left, string Right)> merges, int[] bytes)
    {
        ids = new Dictionary<string, int>(vocabulary, StringComparer.Ordinal);
        idsBySpan = ids.GetAlternateLookup<ReadOnlySpan<char>>();
        foreach (var (rank, (left, right)) in merges.Index())
            this.merges[(ids[left], ids[right])] = (rank, ids[left + right]);
        this.bytes = bytes;
    }

    /// <summary>The ids of a word.</summary>
    public int[] Encode(ReadOnlySpan<char> word)
    {
        var symbols = new List<Symbol>(word.Length);
        Span<byte> utf8 = stackalloc byte[4];
        foreach (var rune in word.EnumerateRunes())
        {
            var start = word[..rune.Utf16SequenceLength];
            word = word[start.Length..];
            if (idsBySpan.TryGetValue(start, out var id))
            {
                symbols.Add(Symbol.At(symbols.Count, id));
                continue;
            }
            foreach (var b in utf8[..rune.EncodeToUtf8(utf8)])
                symbols.Add(Symbol.At(symbols.Count, bytes[b]));
        }
        return Merge(CollectionsMarshal.AsSpan(symbols));
    }

    private int[] Merge(Span<Symbol> symbols)
    {
        if (symbols.Length == 0)
            return [];
        symbols[^1].Next = -1;
        var queue = new PriorityQueue<(int At, int Left, int Right, int Joined), (int Rank, int At)>();
        for (var i = 0; i + 1 < symbols.Length; i++)
            Offer(symbols, i, queue);
        var count = symbols.Length;
        while (queue.TryDequeue(out var pair, out _))
        {
            ref var left = ref symbols[pair.At];
            // A pair that is no longer there was overtaken by an earlier merge.
            if (left.Id != pair.Left || left.Next < 0 || symbols[left.Next].Id != pair.Right)
                continue;
            ref var right = ref symbols[left.Next];
            left.Id = pair.Joined;
            left.Next = right.Next;
            right.Id = Symbol.Gone;
            if (left.Next >= 0)
                symbols[left.Next].Previous = pair.At;
            count--;
            Offer(symbols, pair.At, queue);
            if (left.Previous >= 0)
                Offer(symbols, left.Previous, queue);
        }
        var result = new int[count];
        for (int at = 0, i = 0; at >= 0; at = symbols[at].Next)
            result[i++] = symbols[at].Id;
        return result;
    }

    private void Offer(Span<Symbol> symbols, int at, PriorityQueue<(int, int, int, int), (int, int)> queue)
    {
        var (left, next) = (symbols[at].Id, symbols[at].Next);
        if (next >= 0 && merges.TryGetValue((left, symbols[next].Id), out var merge))
            queue.Enqueue((at, left, symbols[next].Id, merge.Joined), (merge.Rank, at));
    }

    private record struct Symbol(int Id, int Previous, int Next)
    {
        public const int Gone = -1;

        public static Symbol At(int index, int id) => new(id, index - 1, index + 1);
    }
}
