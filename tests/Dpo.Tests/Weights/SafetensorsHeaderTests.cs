using System.Text;
using CsCheck;

namespace Dpo.Tests;

public sealed class SafetensorsHeaderTests : IDisposable
{
    private const string Known = "F64, F32, F16, BF16, I64, I32, I16, I8, U8, BOOL";
    private const string OffsetsRule = "`data_offsets` must be two whole numbers, begin and end, ascending from 0.";
    private const string ShapeRule = "`shape` must be at most 64 whole numbers from 0 to 9223372036854775807.";

    private readonly TemporaryFolder folder = new();

    public void Dispose() => folder.Dispose();

    public static TheoryData<string, string> Entries => new()
    {
        { "1", ": tensor \"x\" must be an object with `dtype`, `shape` and `data_offsets`." },
        { """{"shape":[4],"data_offsets":[0,4]}""", ": tensor \"x\": `dtype` must be a string." },
        { """{"dtype":8,"shape":[4],"data_offsets":[0,4]}""", ": tensor \"x\": `dtype` must be a string." },
        {
            """{"dtype":"F8_E4M3","shape":[4],"data_offsets":[0,4]}""",
            $": tensor \"x\" has the dtype F8_E4M3; Dpo reads {Known}."
        },
        { """{"dtype":"U8","data_offsets":[0,4]}""", $": tensor \"x\": {ShapeRule}" },
        { """{"dtype":"U8","shape":4,"data_offsets":[0,4]}""", $": tensor \"x\": {ShapeRule}" },
        { """{"dtype":"U8","shape":["4"],"data_offsets":[0,4]}""", $": tensor \"x\": {ShapeRule}" },
        { """{"dtype":"U8","shape":[4.0],"data_offsets":[0,4]}""", $": tensor \"x\": {ShapeRule}" },
        { """{"dtype":"U8","shape":[-2,-2],"data_offsets":[0,4]}""", $": tensor \"x\": {ShapeRule}" },
        { """{"dtype":"U8","shape":[9223372036854775808],"data_offsets":[0,4]}""", $": tensor \"x\": {ShapeRule}" },
        {
            $$"""{"dtype":"U8","shape":[4{{string.Concat(Enumerable.Repeat(",1", 64))}}],"data_offsets":[0,4]}""",
            $": tensor \"x\": {ShapeRule}"
        },
        {
            """{"dtype":"U8","shape":[4294967296,4294967296],"data_offsets":[0,4]}""",
            ": tensor \"x\": the shape [4294967296, 4294967296] is too large for any file."
        },
        {
            """{"dtype":"F64","shape":[1152921504606846976],"data_offsets":[0,4]}""",
            ": tensor \"x\": the shape [1152921504606846976] is too large for any file."
        },
        {
            """{"dtype":"U8","shape":[0,4294967296,4294967296],"data_offsets":[0,0]}""",
            ": tensor \"x\": the shape [0, 4294967296, 4294967296] is too large for any file."
        },
        { """{"dtype":"U8","shape":[4]}""", $": tensor \"x\": {OffsetsRule}" },
        { """{"dtype":"U8","shape":[4],"data_offsets":[4]}""", $": tensor \"x\": {OffsetsRule}" },
        { """{"dtype":"U8","shape":[4],"data_offsets":[0,4,8]}""", $": tensor \"x\": {OffsetsRule}" },
        { """{"dtype":"U8","shape":[4],"data_offsets":[-4,0]}""", $": tensor \"x\": {OffsetsRule}" },
        { """{"dtype":"U8","shape":[4],"data_offsets":[4,0]}""", $": tensor \"x\": {OffsetsRule}" },
        { """{"dtype":"U8","shape":[4],"data_offsets":["0","4"]}""", $": tensor \"x\": {OffsetsRule}" },
        {
            """{"dtype":"F16","shape":[4],"data_offsets":[0,4]}""",
            ": tensor \"x\" takes 4 bytes by its `data_offsets`, but 8 by its shape [4] and dtype F16."
        },
        {
            """{"dtype":"U8","shape":[5],"data_offsets":[0,5]}""",
            ": tensor \"x\" ends at byte 5 of the data, of which the file holds 4: it is truncated or damaged."
        },
        {
            """{"dtype":"U8","shape":[3],"data_offsets":[1,4]}""",
            ": tensor \"x\" begins at byte 1 of the data, but the tensors before it end at 0."
        },
        { """{"dtype":"U8","shape":[3],"data_offsets":[0,3]}""", " holds 4 bytes of data, but its tensors end at 3." },
        {
            """{"dtype":"U8","shape":[4],"data_offsets":[0,4]},"y":{"dtype":"U8","shape":[2],"data_offsets":[2,4]}""",
            ": tensor \"y\" begins at byte 2 of the data, inside tensor \"x\", which ends at 4."
        },
        {
            """{"dtype":"U8","shape":[1],"data_offsets":[0,1]},"y":{"dtype":"U8","shape":[2],"data_offsets":[2,4]}""",
            ": tensor \"y\" begins at byte 2 of the data, but the tensors before it end at 1."
        },
        {
            """{"dtype":"U8","shape":[4],"data_offsets":[0,4]},"x":{"dtype":"U8","shape":[4],"data_offsets":[0,4]}""",
            ": the header names \"x\" twice."
        },
        { """{"dtype":"U8","dtype":"I8","shape":[4],"data_offsets":[0,4]}""", ": the header names \"dtype\" twice." },
        {
            """{"dtype":"U8","shape":[4],"data_offsets":[0,4]},"__metadata__":{"format":1}""",
            ": `__metadata__` must be an object of strings."
        },
        {
            """{"dtype":"U8","shape":[4],"data_offsets":[0,4]},"__metadata__":[]""",
            ": `__metadata__` must be an object of strings."
        },
    };

    [Theory]
    [MemberData(nameof(Entries))]
    public void A_header_that_contradicts_itself_or_the_file_is_refused(string entry, string message)
    {
        var path = folder.Write("a.safetensors", SafetensorsBytes.File($$$"""{"x":{{{entry}}}}""", 1, 2, 3, 4));
        Assert.Equal(path + message, Assert.Throws<InvalidInputException>(() => new SafetensorsReader(path)).Message);
    }

    public static TheoryData<byte[], string> Files => new()
    {
        { [], " has 0 bytes, too few for a safetensors file." },
        { [2, 0, 0, 0, 0, 0, 0], " has 7 bytes, too few for a safetensors file." },
        {
            [3, 0, 0, 0, 0, 0, 0, 0, (byte)'{', (byte)'}'],
            " claims a header of 3 bytes but holds only 2 after its length: it is truncated or damaged."
        },
        {
            SafetensorsBytes.WithLength(100_000_000, "{}"),
            " claims a header of 100000000 bytes but holds only 2 after its length: it is truncated or damaged."
        },
        {
            SafetensorsBytes.WithLength(100_000_001, "{}"),
            " claims a header of 100000001 bytes, where safetensors allows 100000000: " +
            "it is damaged, not a safetensors file, or a Git LFS pointer to one."
        },
        {
            Encoding.ASCII.GetBytes("version https://git-lfs.github.com/spec/v1\n"),
            " claims a header of 2336927755350992246 bytes, where safetensors allows 100000000: " +
            "it is damaged, not a safetensors file, or a Git LFS pointer to one."
        },
        { SafetensorsBytes.File("[]"), ": the header is not a JSON object." },
        { SafetensorsBytes.File(""), ": the header is not valid JSON (line 1, byte 1)." },
        { SafetensorsBytes.File("{\"x\":}"), ": the header is not valid JSON (line 1, byte 6)." },
        { SafetensorsBytes.File(" {}"), ": the header does not begin with '{'." },
        {
            SafetensorsBytes.File("""{"\ud800":{}}"""),
            ": the header holds a string with half a surrogate pair, which is not Unicode."
        },
        { [5, 0, 0, 0, 0, 0, 0, 0, (byte)'{', (byte)'"', 0xFF, (byte)'"', (byte)'}'], ": the header is not UTF-8 text." },
    };

    [Theory]
    [MemberData(nameof(Files))]
    public void A_file_that_is_none_is_refused(byte[] bytes, string message)
    {
        var path = folder.Write("a.safetensors", bytes);
        Assert.Equal(path + message, Assert.Throws<InvalidInputException>(() => new SafetensorsReader(path)).Message);
    }

    [Fact]
    public void A_missing_file_is_named()
    {
        var path = folder.File("none.safetensors");
        Assert.StartsWith(
            $"{path} cannot be read: ",
            Assert.Throws<InvalidInputException>(() => new SafetensorsReader(path)).Message,
            StringComparison.Ordinal);
    }

    [Fact]
    public void A_lying_length_allocates_nothing()
    {
        var path = folder.Write("a", SafetensorsBytes.WithLength(99_999_999, "{}"));
        var before = GC.GetAllocatedBytesForCurrentThread();
        Assert.Throws<InvalidInputException>(() => new SafetensorsReader(path));
        Assert.InRange(GC.GetAllocatedBytesForCurrentThread() - before, 0, 100_000);
    }

    /// <summary>A header costs memory in proportion to the file: it has no more bytes than its tensors, a mebibyte aside, and is
    /// read without a tree of it.</summary>
    [Fact]
    public void A_header_larger_than_its_tensors_is_refused_before_it_is_read()
    {
        var header = "{" + new string(' ', 5 << 20) + "}";
        var path = folder.Write("a", SafetensorsBytes.File(header));
        var before = GC.GetAllocatedBytesForCurrentThread();
        Assert.Equal(
            $"{path} has a header of {header.Length} bytes for 0 bytes of tensors, which no model needs: it is damaged or means harm.",
            Assert.Throws<InvalidInputException>(() => new SafetensorsReader(path)).Message);
        Assert.InRange(GC.GetAllocatedBytesForCurrentThread() - before, 0, 100_000);
    }

    [Fact]
    public void A_header_of_very_many_tensors_takes_memory_in_proportion()
    {
        var entries = Enumerable.Range(0, 60_000).Select(index =>
            $$"""
            "t{{index}}":{"dtype":"U8","shape":[1,1,1,1,1,1,100],"data_offsets":[{{100 * index}},{{100 * index + 100}}]}
            """);
        var header = $"{{{string.Join(",", entries)}}}";
        var path = folder.Write("a", SafetensorsBytes.File(header, new byte[6_000_000]));
        var before = GC.GetAllocatedBytesForCurrentThread();
        using (var file = new SafetensorsReader(path))
            Assert.Equal(60_000, file.Names.Count);
        Assert.InRange(GC.GetAllocatedBytesForCurrentThread() - before, 0, 10 * header.Length);
    }

    [Fact]
    public void Damaged_files_are_read_or_refused_and_never_allocate_what_they_claim()
    {
        var valid = SafetensorsBytes.File(
            """{"__metadata__":{"format":"pt"},"w":{"dtype":"F32","shape":[2,1],"data_offsets":[0,8]}""" +
            ""","b":{"dtype":"BOOL","shape":[3],"data_offsets":[8,11]}} """,
            0, 0, 128, 63, 0, 0, 0, 64, 0, 1, 1);
        var edit = Gen.Select(Gen.Int[0, 2], Gen.Int[0, valid.Length - 1], Gen.Byte);
        var refused = 0;
        edit.Array[1, 4].Sample(
            edits =>
            {
                var bytes = edits.Aggregate(valid.ToList(), Damage).ToArray();
                var path = folder.Write(Guid.NewGuid().ToString("N"), bytes);
                var before = GC.GetAllocatedBytesForCurrentThread();
                try
                {
                    using var file = new SafetensorsReader(path);
                    foreach (var name in file.Names)
                    {
                        using var tensor = file.Read(name);
                        Assert.InRange(tensor.numel() * tensor.ElementSize, 0, bytes.Length);
                    }
                }
                catch (InvalidInputException e)
                {
                    Assert.StartsWith(path, e.Message, StringComparison.Ordinal);
                    Interlocked.Increment(ref refused);
                }
                Assert.InRange(GC.GetAllocatedBytesForCurrentThread() - before, 0, 1_000_000);
                File.Delete(path);
            },
            iter: 3000);
        Assert.InRange(refused, 1000, 3000); // most damage is noticed: only the data itself may change unseen
    }

    private static List<byte> Damage(List<byte> bytes, (int Kind, int Position, byte Value) edit)
    {
        var position = Math.Min(edit.Position, bytes.Count);
        if (edit.Kind == 0 && position < bytes.Count)
            bytes[position] ^= (byte)(edit.Value | 1);
        else if (edit.Kind == 1)
            bytes.Insert(position, edit.Value);
        else
            bytes.RemoveRange(position, bytes.Count - position);
        return bytes;
    }
}
