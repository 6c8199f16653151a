using System.Diagnostics;
using System.Runtime.InteropServices;
using System.Security.Cryptography;
using System.Text;
using Dpo.Files;
using Microsoft.Win32.SafeHandles;

namespace Dpo.Training.Reference;

/// <summary>
/// What was computed so far of a file of reference log-probabilities, in a file beside it: a computation that is interrupted, by
/// SIGKILL or the machine's end, goes on behind the last batch that is there as a whole.
/// </summary>
/// <remarks>The file has <see cref="Magic"/>, the SHA-256 of the key, and for each batch the number of its examples, a CRC-32C
/// and the values of their completions' tokens, in the order of the computation. It is only ever written at its end; what a write
/// left unfinished there fails its checksum, and is written anew. It is locked while it is open.</remarks>
internal sealed class PartialReferenceLogProbs : IDisposable
{
    private const int HeadSize = 8;
    private static readonly TimeSpan flushEvery = TimeSpan.FromSeconds(1);

    private readonly SafeFileHandle file;
    private readonly IReadOnlyList<int> valueCounts;
    private readonly long[] places;
    private readonly Stopwatch sinceFlush = Stopwatch.StartNew();
    private long end;

    /// <summary>Opens the file, and begins it anew where it is of another key.</summary>
    /// <param name="path">The log-probabilities' file.</param>
    /// <param name="key">What the values are computed under.</param>
    /// <param name="valueCounts">How many values each example has, in the order of the computation.</param>
    /// <exception cref="InvalidInputException">Another run writes to it, or something else lies there.</exception>
    public PartialReferenceLogProbs(string path, ReferenceLogProbsKey key, IReadOnlyList<int> valueCounts)
    {
        path = PathOf(path);
        file = Open(path);
        this.valueCounts = valueCounts;
        places = new long[valueCounts.Count];
        try
        {
            RequireOurs(file, path);
            var beginning = Beginning(key);
            if (!BeginsWith(file, beginning))
            {
                RandomAccess.SetLength(file, 0);
                RandomAccess.Write(file, beginning, 0);
            }
            end = beginning.Length;
            ReadBatches();
            RandomAccess.SetLength(file, end);
        }
        catch
        {
            file.Dispose();
            throw;
        }
    }

    /// <summary>How many examples are computed.</summary>
    public int Done { get; private set; }

    private static ReadOnlySpan<byte> Magic => "DpoRefs1"u8;

    /// <summary>Where it lies.</summary>
    public static string PathOf(string path) => path + ".partial";

    /// <summary>Deletes what a run left that was killed when its file of this key was whole already.</summary>
    public static void Sweep(string path, ReferenceLogProbsKey key)
    {
        path = PathOf(path);
        if (!File.Exists(path))
            return;
        try
        {
            bool isOfKey;
            using (var file = File.OpenHandle(path, FileMode.Open, FileAccess.ReadWrite, FileShare.None))
                isOfKey = BeginsWith(file, Beginning(key));
            if (isOfKey)
                File.Delete(path);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            // Another run computes other values there, or nothing can be deleted; the values are loaded all the same.
        }
    }

    /// <summary>Adds a batch; it is safe from the process's end when this returns, and from the machine's a second
    /// later.</summary>
    /// <param name="examples">How many examples it has, the next ones in order.</param>
    /// <param name="values">Their values.</param>
    public void Append(int examples, ReadOnlySpan<float> values)
    {
        var bytes = MemoryMarshal.AsBytes(values);
        Span<byte> head = stackalloc byte[HeadSize];
        MemoryMarshal.Write(head, examples);
        MemoryMarshal.Write(head[sizeof(int)..], Crc32C.Of(Done + examples, bytes));
        RandomAccess.Write(file, head, end);
        RandomAccess.Write(file, bytes, end + HeadSize);
        Take(examples);
        if (sinceFlush.Elapsed < flushEvery)
            return;
        RandomAccess.FlushToDisk(file);
        sinceFlush.Restart();
    }

    /// <summary>The values of an example that is computed.</summary>
    /// <param name="rank">Its place in the order of the computation.</param>
    public float[] Read(int rank)
    {
        var values = new float[valueCounts[rank]];
        file.ReadExactly(MemoryMarshal.AsBytes(values.AsSpan()), places[rank]);
        return values;
    }

    /// <summary>Closes the file, which stays.</summary>
    public void Dispose() => file.Dispose();

    private static byte[] Beginning(ReferenceLogProbsKey key) =>
        [.. Magic, .. SHA256.HashData(Encoding.UTF8.GetBytes(key.ToString()))];

    private static SafeFileHandle Open(string path)
    {
        try
        {
            RegularFile.Require(path);
            return File.OpenHandle(path, FileMode.OpenOrCreate, FileAccess.ReadWrite, FileShare.None);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new InvalidInputException(
                $"{path}, which keeps what is computed of the reference, cannot be opened ({e.Message}); if another run writes " +
                "to it, wait for its end, or give another file.", e);
        }
    }

    private static void RequireOurs(SafeFileHandle file, string path)
    {
        var size = (int)Math.Min(Magic.Length, RandomAccess.GetLength(file));
        if (!BeginsWith(file, Magic[..size].ToArray()))
            throw new InvalidInputException(
                $"{path} is not what was computed of a reference, so it is not replaced by that; give another path, " +
                "or delete it.");
    }

    private static bool BeginsWith(SafeFileHandle file, byte[] expected)
    {
        if (RandomAccess.GetLength(file) < expected.Length)
            return false;
        var beginning = new byte[expected.Length];
        file.ReadExactly(beginning, 0);
        return expected.AsSpan().SequenceEqual(beginning);
    }

    /// <summary>Goes through the batches up to the first that is not whole.</summary>
    private void ReadBatches()
    {
        var length = RandomAccess.GetLength(file);
        Span<byte> head = stackalloc byte[HeadSize];
        while (length - end >= HeadSize)
        {
            file.ReadExactly(head, end);
            var (examples, checksum) = (MemoryMarshal.Read<int>(head), MemoryMarshal.Read<uint>(head[sizeof(int)..]));
            if (examples < 1 || examples > places.Length - Done)
                return;
            var count = 0L;
            for (var rank = Done; rank < Done + examples; rank++)
                count += valueCounts[rank];
            if (count * sizeof(float) > length - end - HeadSize)
                return;
            var bytes = new byte[count * sizeof(float)];
            file.ReadExactly(bytes, end + HeadSize);
            if (Crc32C.Of(Done + examples, bytes) != checksum)
                return;
            Take(examples);
        }
    }

    /// <summary>Counts a batch that lies at the end.</summary>
    private void Take(int examples)
    {
        end += HeadSize;
        for (var last = Done + examples; Done < last; Done++)
        {
            places[Done] = end;
            end += (long)valueCounts[Done] * sizeof(float);
        }
    }
}
