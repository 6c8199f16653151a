using CsCheck;

namespace Dpo.Tests;

/// <summary>Files damaged at random: bytes changed, put in and taken out.</summary>
internal static class ByteDamage
{
    /// <summary>Files with some such edits.</summary>
    /// <param name="original">The file.</param>
    /// <param name="most">The most edits; one at least.</param>
    /// <param name="value">What a byte is changed to, or put in.</param>
    public static Gen<byte[]> Of(byte[] original, int most, Gen<byte> value) =>
        Gen.Select(Gen.UInt, Gen.Int[0, 2], value).Array[1, most].Select(edits =>
        {
            var bytes = original.ToList();
            foreach (var (place, kind, changed) in edits)
            {
                var at = (int)(place % (uint)bytes.Count);
                if (kind == 0)
                    bytes[at] = changed;
                else if (kind == 1)
                    bytes.Insert(at, changed);
                else
                    bytes.RemoveAt(at);
            }
            return bytes.ToArray();
        });
}
