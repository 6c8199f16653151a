using System.Numerics;
using System.Text;

namespace Dpo.Tests;

public class Crc32CTests
{
    /// <summary>The check value of RFC 3720's catalogue, and the bytes that files of earlier versions hold.</summary>
    [Fact]
    public void The_checksums_of_files_stay_as_they_are()
    {
        Assert.Equal(0xE3069283, Crc32C.Of(Encoding.ASCII.GetBytes("123456789")));
        var random = new Random(1);
        foreach (var length in (int[])[0, 1, 7, 8, 9, 63, 64, 65, 1000])
        {
            var bytes = new byte[length];
            random.NextBytes(bytes);
            foreach (var part in (int[])[0, 1, 258, int.MaxValue])
            {
                // By the processor's instruction, a byte at a time.
                var ofPart = bytes.Aggregate(BitOperations.Crc32C(uint.MaxValue, (uint)part), BitOperations.Crc32C);
                Assert.Equal(~ofPart, Crc32C.Of(part, bytes));
            }
            Assert.Equal(~bytes.Aggregate(uint.MaxValue, BitOperations.Crc32C), Crc32C.Of(bytes));
        }
    }
}
