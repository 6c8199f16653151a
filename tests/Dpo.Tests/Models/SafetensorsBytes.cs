using System.Buffers.Binary;
using System.Text;

namespace Dpo.Tests;

/// <summary>Safetensors files put together by hand, independently of the writer.</summary>
internal static class SafetensorsBytes
{
    public static byte[] File(string header, params byte[] data) =>
        WithLength((ulong)Encoding.UTF8.GetByteCount(header), header, data);

    public static byte[] WithLength(ulong headerLength, string header, params byte[] data)
    {
        var length = new byte[8];
        BinaryPrimitives.WriteUInt64LittleEndian(length, headerLength);
        return [.. length, .. Encoding.UTF8.GetBytes(header), .. data];
    }
}
