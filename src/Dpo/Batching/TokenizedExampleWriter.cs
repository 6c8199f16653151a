using System.Runtime.InteropServices;
using System.Text;
using Dpo.Files;
using Dpo.Tokenization;
using static Dpo.Batching.TokenizedExampleIndex;

namespace Dpo.Batching;

/// <summary>Writes a file of examples, one after the other. Held in memory are the entries of one block, and 12 bytes a
/// block.</summary>
internal sealed class TokenizedExampleWriter : IDisposable
{
    private readonly Stream stream;
    private readonly List<Entry> entries = [];
    private readonly List<Block> blocks = [];
    private readonly DataDigestBuilder digest = new();
    private readonly MemoryStream record = new();
    private long place;

    /// <summary>Begins a file.</summary>
    public TokenizedExampleWriter(Stream stream)
    {
        this.stream = stream;
        Write(Magic);
    }

    /// <summary>How many examples were written.</summary>
    public int Count => (blocks.Count * BlockSize) + entries.Count;

    /// <summary>Writes an example.</summary>
    public void Add(TrainingExample example)
    {
        record.SetLength(0);
        TokenizedExampleRecord.Write(record, example);
        Add(record.GetBuffer().AsSpan(0, (int)record.Length), ExampleSummary.Of(example));
        digest.Append(example);
    }

    /// <summary>Writes an example as its bytes.</summary>
    public void Add(ReadOnlySpan<byte> bytes, ExampleSummary summary)
    {
        entries.Add(new Entry(place, bytes.Length, Crc32C.Of(Count, bytes), summary));
        Write(bytes);
        if (entries.Count == BlockSize)
            EndBlock();
    }

    /// <summary>Writes what follows the last example.</summary>
    /// <param name="tokenizer">The tokenizer that made the ids; null where it is not known.</param>
    public void End(TokenizerIdentity? tokenizer)
    {
        var count = Count;
        if (entries.Count > 0)
            EndBlock();
        var tail = new List<byte>();
        void Append<T>(params ReadOnlySpan<T> values)
            where T : unmanaged => tail.AddRange(MemoryMarshal.AsBytes(values));
        Append<Block>(CollectionsMarshal.AsSpan(blocks));
        var (all, tokens) = digest.End();
        foreach (var hash in (string[])[all, tokens, tokenizer?.Digest ?? new string('0', all.Length)])
            Append<byte>(Convert.FromHexString(hash));
        Append<byte>(Encoding.UTF8.GetBytes(tokenizer?.Name ?? ""));
        Append<long>(count, place);
        Append<ulong>(Crc32C.Of(count, CollectionsMarshal.AsSpan(tail)));
        Append(Magic);
        Write(CollectionsMarshal.AsSpan(tail));
    }

    public void Dispose()
    {
        digest.Dispose();
        record.Dispose();
    }

    private void EndBlock()
    {
        var bytes = MemoryMarshal.AsBytes(CollectionsMarshal.AsSpan(entries));
        blocks.Add(new Block(place, Crc32C.Of(blocks.Count, bytes)));
        Write(bytes);
        entries.Clear();
    }

    private void Write(ReadOnlySpan<byte> bytes)
    {
        stream.Write(bytes);
        place += bytes.Length;
    }
}
