using System.Runtime.InteropServices;
using System.Security.Cryptography;
using System.Text;

namespace Dpo.Files;

/// <summary>
/// A SHA-256 of what is appended to it. The length stands in front of every list and text, so that nothing can move from one to
/// the next unseen.
/// </summary>
internal sealed class Digest : IDisposable
{
    private readonly IncrementalHash hash = IncrementalHash.CreateHash(HashAlgorithmName.SHA256);

    /// <summary>The digest of bytes, as lower-case hexadecimal digits.</summary>
    public static string Of(ReadOnlySpan<byte> bytes) => Convert.ToHexStringLower(SHA256.HashData(bytes));

    /// <summary>The same of what a stream gives up to its end.</summary>
    public static string Of(Stream stream) => Convert.ToHexStringLower(SHA256.HashData(stream));

    /// <summary>The same of a text as UTF-8.</summary>
    public static string Of(string text) => Of(Encoding.UTF8.GetBytes(text));

    /// <summary>Adds numbers. No list is another than an empty one.</summary>
    public void Append<T>(IEnumerable<T>? values)
        where T : unmanaged
    {
        T[] array = [.. values ?? []];
        hash.AppendData(BitConverter.GetBytes(values is null ? -1 : array.Length));
        hash.AppendData(MemoryMarshal.AsBytes<T>(array));
    }

    /// <summary>Adds bytes without a length.</summary>
    public void Append(ReadOnlySpan<byte> bytes) => hash.AppendData(bytes);

    /// <summary>Adds a number without a length.</summary>
    public void Append(int value) => hash.AppendData(BitConverter.GetBytes(value));

    /// <summary>Adds a text, as UTF-16, since text made in memory need not be valid.</summary>
    public void Append(string text)
    {
        var bytes = Encoding.Unicode.GetBytes(text);
        Append(bytes.Length);
        hash.AppendData(bytes);
    }

    /// <summary>The digest of what was added, 32 bytes; the next begins empty.</summary>
    public byte[] End() => hash.GetHashAndReset();

    /// <summary>As <see cref="End"/>, as lower-case hexadecimal digits.</summary>
    public string EndAsText() => Convert.ToHexStringLower(End());

    public void Dispose() => hash.Dispose();
}
