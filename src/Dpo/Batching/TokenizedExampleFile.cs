using System.Collections;
using System.Runtime.InteropServices;
using System.Text;
using Dpo.Files;
using Dpo.Tokenization;
using Microsoft.Win32.SafeHandles;
using static Dpo.Batching.TokenizedExampleIndex;

namespace Dpo.Batching;

/// <summary>
/// Tokenized examples in a file, read one by one as they are asked for: <see cref="PreferenceData.Open"/>.
/// </summary>
/// <remarks>
/// <para>The file has, numbers little-endian: <see cref="Magic"/>; examples as <see cref="TokenizedExampleRecord"/> writes them,
/// and behind every <see cref="BlockSize"/> of them, and the last, their entries; a table of where those lie; the digest of the
/// data and that of the tokenizer, with its name; how many examples there are, where the table begins, and a checksum of all
/// since there; and <see cref="Magic"/> again. Every entry, block of entries and table is under a checksum.</para>
/// <para>Opening reads the entries once, some 70 bytes an example. What is read often stays in the system's cache of
/// files.</para>
/// </remarks>
internal sealed class TokenizedExampleFile : IExampleSource
{
    private const int HashSize = 32;
    private const string WriteAnew = "write it anew with PreferenceData.Write";

    private readonly string path;
    private readonly SafeFileHandle file;
    private readonly long length;
    private readonly Block[] blocks;

    /// <summary>Opens a file and checks its index.</summary>
    public TokenizedExampleFile(string path)
    {
        ArgumentNullException.ThrowIfNull(path);
        this.path = path;
        file = RegularFile.OpenHandle(path);
        try
        {
            length = RandomAccess.GetLength(file);
            var tail = ReadTail();
            blocks = MemoryMarshal.Cast<byte, Block>(tail.AsSpan(0, BlockEntrySize * BlocksOf(Count))).ToArray();
            var rest = tail.AsSpan(blocks.Length * BlockEntrySize);
            string NextHash(ref Span<byte> bytes)
            {
                var hash = Convert.ToHexStringLower(bytes[..HashSize]);
                bytes = bytes[HashSize..];
                return hash;
            }
            Digest = new DataDigest(NextHash(ref rest), NextHash(ref rest));
            var tokenizer = NextHash(ref rest);
            Tokenizer = rest.IsEmpty ? null : new TokenizerIdentity(Encoding.UTF8.GetString(rest), tokenizer);
            foreach (var (index, entry) in Entries().Index())
                Check(index, entry);
        }
        catch
        {
            file.Dispose();
            throw;
        }
    }

    /// <inheritdoc/>
    public int Count { get; private set; }

    /// <summary>The tokenizer that made the ids; null where none was named.</summary>
    public TokenizerIdentity? Tokenizer { get; }

    /// <inheritdoc/>
    public DataDigest Digest { get; }

    /// <inheritdoc/>
    public bool IsInMemory => false;

    /// <inheritdoc/>
    public IEnumerable<ExampleSummary> Summaries => Entries().Select(entry => entry.Summary);

    /// <inheritdoc/>
    public TrainingExample this[int index]
    {
        get
        {
            ArgumentOutOfRangeException.ThrowIfNegative(index);
            ArgumentOutOfRangeException.ThrowIfGreaterThanOrEqual(index, Count);
            Span<Entry> one = stackalloc Entry[1];
            Read(MemoryMarshal.AsBytes(one), blocks[index / BlockSize].Start + (index % BlockSize * EntrySize));
            var entry = one[0];
            Check(index, entry); // the file may have changed since it was opened
            var record = new byte[entry.Length];
            Read(record, entry.Start);
            if (Crc32C.Of(index, record) != entry.Checksum)
                throw Damaged(index);
            try
            {
                var example = TokenizedExampleRecord.Read(record);
                return ExampleSummary.Of(example) == entry.Summary
                    ? example
                    : throw new FormatException("it is not what the index says of it");
            }
            catch (FormatException e)
            {
                throw new InvalidInputException(
                    $"{path}: example {index + 1} of {Count} makes no sense, because {e.Message}; {WriteAnew}.", e);
            }
        }
    }

    /// <summary>Writes examples.</summary>
    public static void Write(string path, IEnumerable<TokenizedExample> examples, TokenizerIdentity? tokenizer)
    {
        ArgumentNullException.ThrowIfNull(path);
        ArgumentNullException.ThrowIfNull(examples);
        AtomicFile.Write(path, stream =>
        {
            using var writer = new TokenizedExampleWriter(stream);
            foreach (var example in examples.Select(TrainingExample.Of))
            {
                if (TokenizedExampleFault.Of(example) is { } fault)
                    throw new InvalidInputException(
                        $"{path}: example {writer.Count + 1} ({example.Source ?? "without a source"}) cannot be written, " +
                        $"because {fault}.");
                writer.Add(example);
            }
            if (writer.Count == 0)
                throw new InvalidInputException($"{path}: there is no example to write; see the counts of dropped rows.");
            writer.End(tokenizer);
        });
    }

    /// <inheritdoc/>
    public IEnumerator<TrainingExample> GetEnumerator() =>
        Enumerable.Range(0, Count).Select(index => this[index]).GetEnumerator();

    IEnumerator IEnumerable.GetEnumerator() => GetEnumerator();

    /// <summary>Closes the file.</summary>
    public void Dispose() => file.Dispose();

    private static int BlocksOf(int count) => ((count - 1) / BlockSize) + 1;

    /// <summary>Reads what lies between the last entries and the trailer, and sets <see cref="Count"/>.</summary>
    private byte[] ReadTail()
    {
        Span<byte> magic = stackalloc byte[Magic.Length];
        Span<byte> trailer = stackalloc byte[TrailerSize];
        if (length >= magic.Length + TrailerSize)
        {
            Read(magic, 0);
            Read(trailer, length - TrailerSize);
        }
        if (magic.SequenceEqual("DpoToks1"u8))
            throw new InvalidInputException(
                $"{path}: this file of tokenized examples is of the format's first version, without an index; {WriteAnew}.");
        var (count, start) = (MemoryMarshal.Read<long>(trailer), MemoryMarshal.Read<long>(trailer[8..]));
        var checksum = MemoryMarshal.Read<ulong>(trailer[16..]);
        var tailSize = length - TrailerSize - start;
        // An example has an entry at least: a count that the file is too short for is not allocated for.
        var holds = count >= 1 && count <= Math.Min(length / EntrySize, int.MaxValue) && start >= magic.Length
            && tailSize <= int.MaxValue - TrailerSize
            && tailSize >= ((long)BlockEntrySize * BlocksOf((int)count)) + (3 * HashSize);
        if (!magic.SequenceEqual(Magic) || !trailer[24..].SequenceEqual(Magic) || !holds)
            throw NoSuchFile();
        var tail = new byte[tailSize + 16]; // with the count and the start, which are under the checksum too
        Read(tail, start);
        if (Crc32C.Of((int)count, tail) != checksum)
            throw NoSuchFile();
        Count = (int)count;
        return tail[..(int)tailSize];
    }

    /// <summary>The entries of all examples, block by block.</summary>
    private IEnumerable<Entry> Entries()
    {
        var entries = new Entry[Math.Min(BlockSize, Count)];
        for (var block = 0; block < blocks.Length; block++)
        {
            var size = Math.Min(BlockSize, Count - (block * BlockSize));
            ReadBlock(block, entries.AsSpan(0, size));
            for (var index = 0; index < size; index++)
                yield return entries[index];
        }
    }

    private void ReadBlock(int block, Span<Entry> entries)
    {
        var bytes = MemoryMarshal.AsBytes(entries);
        var (start, checksum) = blocks[block];
        if (start < Magic.Length || start > length - bytes.Length)
            throw NoSuchFile();
        Read(bytes, start);
        if (Crc32C.Of(block, bytes) != checksum)
            throw new InvalidInputException(
                $"{path}: the index of the examples from {(block * BlockSize) + 1} on is damaged; {WriteAnew}.");
    }

    private void Check(int index, Entry entry)
    {
        if (entry.Start < Magic.Length || entry.Length < 1 || entry.Start > length - entry.Length
            || !entry.Summary.FitsInto(entry.Length))
            throw Damaged(index);
    }

    private void Read(Span<byte> bytes, long offset)
    {
        try
        {
            file.ReadExactly(bytes, offset);
        }
        catch (IOException e)
        {
            throw new InvalidInputException($"{path}: the file cannot be read on ({e.Message}); {WriteAnew}.", e);
        }
    }

    private InvalidInputException NoSuchFile() =>
        new($"{path}: this is no file of tokenized examples, or it was cut off; {WriteAnew}.");

    private InvalidInputException Damaged(int index) => new($"{path}: example {index + 1} of {Count} is damaged; {WriteAnew}.");
}
