using System.Buffers.Binary;
using System.IO.Compression;
using System.Text;
using System.Text.RegularExpressions;
using CsCheck;
using TorchSharp;
using static TorchSharp.torch;

namespace Dpo.Tests;

public sealed class TorchReaderTests : IDisposable
{
    private readonly TemporaryFolder folder = new();
    private readonly DisposeScope scope = NewDisposeScope();

    public void Dispose()
    {
        scope.Dispose();
        folder.Dispose();
    }

    public static TheoryData<string, long[], double[]> Tensors => new()
    {
        {
            "weight", [2, 3],
            [-0.004322517663240433, 0.3097158372402191, -0.4751853346824646, -0.4248946011066437, -0.2223689705133438, 0.15482072532176971]
        },
        { "bias", [2], [-0.011439144611358643, 0.45777493715286255] },
        { "transposed", [3, 2], [0, 3, 1, 4, 2, 5] },
        { "query", [2, 4], [0, 1, 2, 3, 4, 5, 6, 7] },
        { "key", [2, 4], [8, 9, 10, 11, 12, 13, 14, 15] },
        { "value", [2, 4], [16, 17, 18, 19, 20, 21, 22, 23] },
        { "column", [6], [1, 5, 9, 13, 17, 21] },
        { "expanded", [2, 3], [7, 7, 7, 7, 7, 7] },
        { "float64", [3], [0, 1, 3] },
        { "float16", [3], [0, 1, 3] },
        { "bfloat16", [3], [0, 1, 3] },
        { "scalar", [], [2.5] },
        { "empty", [0, 3], [] },
    };

    [Theory]
    [MemberData(nameof(Tensors))]
    public void A_file_of_torch_is_read(string name, long[] shape, double[] values)
    {
        using var file = new TorchReader(Fixture.Path("torch", "state.bin"));
        var target = zeros(shape, requires_grad: true);
        file.ReadInto(name, target);
        Assert.Equal(values, target.detach().flatten().ToDoubles());
    }

    [Theory]
    [InlineData("int64", ScalarType.Int64, 3)]
    [InlineData("int32", ScalarType.Int32, 3)]
    [InlineData("int16", ScalarType.Int16, 3)]
    [InlineData("int8", ScalarType.Int8, 3)]
    [InlineData("uint8", ScalarType.Byte, 3)]
    [InlineData("bool", ScalarType.Bool, 1)]
    public void Other_types_of_torch_are_read_into_their_own(string name, ScalarType type, double last)
    {
        using var file = new TorchReader(Fixture.Path("torch", "state.bin"));
        var target = zeros(3, dtype: type);
        file.ReadInto(name, target);
        Assert.Equal([0, 1, last], target.ToDoubles());
        Assert.Contains("which is not converted to Float32", Refusal(() => file.ReadInto(name, zeros(3))), StringComparison.Ordinal);
    }

    [Fact]
    public void Names_are_in_the_order_of_the_dict_and_unknown_ones_refused()
    {
        var path = Fixture.Path("torch", "state.bin");
        using var file = new TorchReader(path);
        Assert.Equal(["weight", "bias", "transposed", "query", "key", "value", "column", "expanded", "float64"], file.Names.Take(9));
        Assert.Equal(19, file.Names.Count);
        Assert.Equal($"{path} has no tensor \"x\".", Refusal(() => file.ReadInto("x", zeros(1))));
        Assert.Equal(
            $"{path}: tensor \"transposed\" has the shape [3, 2], but the shape [2, 3] is needed.",
            Refusal(() => file.ReadInto("transposed", zeros(2, 3))));
    }

    [Fact]
    public void The_older_format_is_refused()
    {
        var path = Fixture.Path("torch", "legacy.bin");
        Assert.Equal(
            $"{path} has the format that torch.save wrote before version 1.6, which Dpo does not read: " +
            "load and save it with a newer torch, best as model.safetensors.",
            Refusal(path));
    }

    [Fact]
    public void A_call_is_refused_by_name_and_place()
    {
        var path = Fixture.Path("torch", "call.bin");
        Assert.Equal(
            $"{path}: its pickle, at byte 169, names posix.system, which a plain state dict has no need of. Dpo reads tensors and " +
            "executes nothing from a file: save only the state dict, best as model.safetensors.",
            Refusal(path));
        var made = Write(new TorchFile.Pickle().Op(0x80, 2).Global("os", "system").Op(")R.").ToArray());
        Assert.StartsWith($"{made}: its pickle, at byte 2, names os.system, ", Refusal(made), StringComparison.Ordinal);
    }

    [Theory]
    [InlineData(new byte[] { 0x80, 4 }, "0, is written in protocol 4, where torch.save writes 2.")]
    [InlineData(new byte[] { 0x80, 2, (byte)'i' }, "2, has the opcode INST, which a plain state dict has no need of.")]
    [InlineData(new byte[] { 0x93 }, "0, has the opcode STACK_GLOBAL, which a plain state dict has no need of.")]
    [InlineData(new byte[] { 0x82 }, "0, has the opcode EXT1, which a plain state dict has no need of.")]
    [InlineData(new byte[] { (byte)'o' }, "0, has the opcode OBJ, which a plain state dict has no need of.")]
    [InlineData(new byte[] { 0x92 }, "0, has the opcode NEWOBJ_EX, which a plain state dict has no need of.")]
    [InlineData(new byte[] { 0xFF }, "0, has the opcode 0xFF, which a plain state dict has no need of.")]
    [InlineData(new byte[] { (byte)'N' }, "1, ends in the middle of this opcode.")]
    [InlineData(new byte[] { (byte)'X', 255, 255, 255, 255 }, "0, ends in the middle of this opcode.")]
    [InlineData(new byte[] { (byte)'X', 1, 0, 0, 0, 255 }, "0, holds a text that is not UTF-8.")]
    [InlineData(new byte[] { 0x8A, 9, 1, 2, 3, 4, 5, 6, 7, 8, 9 }, "0, holds a whole number of more than 64 bits.")]
    [InlineData(new byte[] { (byte)'N', (byte)'(', 0x85 }, "2, takes a value that was never made.")]
    [InlineData(new byte[] { (byte)'t' }, "0, goes back to a mark that was never set.")]
    [InlineData(new byte[] { (byte)'h', 7 }, "0, recalls a value that was never kept.")]
    [InlineData(new byte[] { (byte)'}', (byte)'N', (byte)'N', (byte)'s' }, "3, has a dict with a key that is no text.")]
    [InlineData(new byte[] { (byte)'N', (byte)'N', (byte)'N', (byte)'s' }, "3, adds to something else than a dict.")]
    [InlineData(new byte[] { (byte)'}', (byte)'(', (byte)'N', (byte)'u' }, "3, adds to something else than a dict.")]
    [InlineData(new byte[] { (byte)'N', (byte)'}', (byte)'b' }, "2, sets the attributes of something else than a dict.")]
    [InlineData(new byte[] { (byte)'N', (byte)')', (byte)'R' }, "2, makes a value in a way torch.save does not.")]
    [InlineData(new byte[] { (byte)'N', (byte)'Q' }, "1, names a storage in a way torch.save does not.")]
    public void What_a_state_dict_does_not_need_is_refused(byte[] pickle, string message)
    {
        var path = Write(pickle);
        Assert.Equal($"{path}: its pickle, at byte {message}", Refusal(path));
    }

    [Theory]
    [InlineData("N.", " holds no dict of tensors; save the model's state dict.")]
    [InlineData("}X\u0001\0\0\0aK\u0001s.", ": \"a\" is no tensor; save the model's state dict and nothing else.")]
    public void What_is_no_state_dict_is_refused(string pickle, string message)
    {
        var path = Write(Encoding.UTF8.GetBytes(pickle));
        Assert.Equal(path + message, Refusal(path));
    }

    [Theory]
    [InlineData("1", 4, 0, new long[] { 4 }, new long[] { 1 }, "lies in \"archive/data/1\", which the file lacks.")]
    [InlineData("0", 5, 0, new long[] { 4 }, new long[] { 1 }, "lies in \"archive/data/0\", which should hold 5 numbers of type F32 but has 16 bytes.")]
    [InlineData("0", 4, 1, new long[] { 4 }, new long[] { 1 }, "of the shape [4] with the strides [1] from 1 on does not fit the 4 numbers of \"archive/data/0\".")]
    [InlineData("0", 4, 0, new long[] { 3 }, new long[] { 2 }, "of the shape [3] with the strides [2] from 0 on does not fit the 4 numbers of \"archive/data/0\".")]
    [InlineData("0", 4, 0, new long[] { 2, 2 }, new long[] { 1 }, "of the shape [2, 2] with the strides [1] from 0 on does not fit the 4 numbers of \"archive/data/0\".")]
    [InlineData("0", 4, -1, new long[] { 4 }, new long[] { 1 }, "of the shape [4] with the strides [1] from -1 on does not fit the 4 numbers of \"archive/data/0\".")]
    [InlineData("0", 4, 0, new long[] { -4 }, new long[] { 1 }, "of the shape [-4] with the strides [1] from 0 on does not fit the 4 numbers of \"archive/data/0\".")]
    [InlineData("0", 4, 3, new long[] { 2 }, new long[] { -1 }, "of the shape [2] with the strides [-1] from 3 on does not fit the 4 numbers of \"archive/data/0\".")]
    [InlineData("0", 4, 5, new long[] { 0 }, new long[] { 1 }, "of the shape [0] with the strides [1] from 5 on does not fit the 4 numbers of \"archive/data/0\".")]
    [InlineData("0", 4, 0, new long[] { long.MaxValue, long.MaxValue }, new long[] { long.MaxValue, long.MaxValue },
        "of the shape [9223372036854775807, 9223372036854775807] with the strides [9223372036854775807, 9223372036854775807] from 0 on " +
        "does not fit the 4 numbers of \"archive/data/0\".")]
    public void A_tensor_that_reaches_outside_its_storage_is_refused(string key, long count, long offset, long[] shape, long[] strides, string message)
    {
        var pickle = new TorchFile.Pickle().Begin().Text("w").Tensor("Float", key, count, offset, shape, strides).End();
        var path = Write(pickle, new byte[16]);
        Assert.Equal($"{path}: tensor \"w\" {message}", Refusal(path));
    }

    [Theory]
    [InlineData(ScalarType.Float32, true)]
    [InlineData(ScalarType.Float16, true)]
    [InlineData(ScalarType.BFloat16, true)]
    [InlineData(ScalarType.BFloat16, false)]
    public void Either_byte_order_is_read(ScalarType type, bool bigEndian)
    {
        var values = tensor(new[] { 1.5f, -0.0078125f, 96f }).to(type);
        var path = folder.Write("a", TorchFile.StateDict([("x", values)], bigEndian));
        using var file = new TorchReader(path);
        var target = zeros(3);
        file.ReadInto("x", target);
        Assert.Equal([1.5, -0.0078125, 96], target.ToDoubles());
    }

    [Fact]
    public void Numbers_of_eight_bytes_are_turned_round_and_a_file_without_byte_order_is_little_endian()
    {
        var pickle = new TorchFile.Pickle().Begin().Text("x").Tensor("Long", "0", 1, 0, [1], [1]).End();
        foreach (var (order, value) in new[] { ("big", 1L << 48), ("little", 1L << 8), (null, 1L << 8) })
        {
            var path = folder.Write("a", TorchFile.Archive(pickle, [[0, 1, 0, 0, 0, 0, 0, 0]], order));
            using var file = new TorchReader(path);
            var target = zeros(1, dtype: ScalarType.Int64);
            file.ReadInto("x", target);
            Assert.Equal(value, target.item<long>());
        }
        var odd = folder.Write("b", TorchFile.Archive(pickle, [new byte[8]], "middle"));
        Assert.Equal($"{odd}: the entry \"archive/byteorder\" must be \"little\" or \"big\".", Refusal(odd));
    }

    /// <summary>Larger than the chunk in which a file is read, and in every order of dimensions, with a stride past each row.</summary>
    [Theory]
    [InlineData(0, 1, 2)]
    [InlineData(2, 1, 0)]
    [InlineData(1, 2, 0)]
    public void Views_larger_than_a_chunk_are_whole(int first, int second, int third)
    {
        const int rows = 3, columns = 700, width = 1024;
        var storage = arange(rows * columns * width, dtype: ScalarType.Float32).view(rows, columns, width);
        var view = storage.narrow(2, 1, width - 1).permute(first, second, third);
        var pickle = new TorchFile.Pickle().Begin().Text("x")
            .Tensor("Float", "0", storage.numel(), view.storage_offset(), view.shape, view.stride()).End();
        using var file = new TorchReader(Write(pickle, storage.bytes.ToArray()));
        var target = zeros(view.shape);
        file.ReadInto("x", target);
        Assert.True(target.eq(view).all().item<bool>());
    }

    [Fact]
    public void Compressed_and_doubled_entries_and_several_pickles_are_refused()
    {
        (string, byte[])[] entries = [("a/data.pkl", new TorchFile.Pickle().Begin().End())];
        var path = folder.Write("a", TorchFile.Zip(entries, CompressionLevel.Fastest));
        Assert.Equal(
            $"{path}: the entry \"a/data.pkl\" is compressed or encrypted, which torch.save does not do; save the weights anew.",
            Refusal(path));
        path = folder.Write("a", TorchFile.Zip([.. entries, .. entries]));
        Assert.Equal(
            $"{path} is truncated or damaged: it has the entry \"a/data.pkl\" twice. Download or save it again.",
            Refusal(path));
        path = folder.Write("a", TorchFile.Zip([.. entries, ("b/data.pkl", [])]));
        Assert.Equal(
            $"{path} is a zip archive with 2 entries data.pkl, where a state dict saved by torch.save has one.",
            Refusal(path));
    }

    /// <summary>A pickle makes many times its length in values, and a directory in entries.</summary>
    [Fact]
    public void A_pickle_and_a_directory_longer_than_any_are_not_read()
    {
        var path = Write(new byte[(4 << 20) + 1]);
        var before = GC.GetAllocatedBytesForCurrentThread();
        Assert.Equal($"{path}: the entry \"archive/data.pkl\" has {(4 << 20) + 1} bytes; at most {4 << 20} are read of it.", Refusal(path));
        using (var file = File.Create(path))
        {
            file.Write("PK\u0003\u0004"u8);
            file.SetLength(4 + (16 << 20) + 1);
            file.Seek(0, SeekOrigin.End);
            file.Write([.. "PK\u0005\u0006"u8, .. new byte[8], .. BitConverter.GetBytes((16 << 20) + 1), .. BitConverter.GetBytes(4), 0, 0]);
        }
        Assert.Equal(
            $"{path} is truncated or damaged: its directory of {(16 << 20) + 1} bytes from byte 4 on is not inside its {new FileInfo(path).Length}. " +
            "Download or save it again.", Refusal(path));
        Assert.InRange(GC.GetAllocatedBytesForCurrentThread() - before, 0, 1_000_000);
    }

    [Theory]
    [InlineData("version https://git-lfs.github.com/spec/v1\n", " does not begin as a file of torch.save does: it is damaged, something else, or a Git LFS pointer to one.")]
    [InlineData("", " does not begin as a file of torch.save does: it is damaged, something else, or a Git LFS pointer to one.")]
    [InlineData("PK\u0003\u0004", " is truncated or damaged: the directory at its end is missing. Download or save it again.")]
    public void What_is_no_archive_is_refused(string text, string message)
    {
        var path = folder.Write("a", text);
        Assert.Equal(path + message, Refusal(path));
        Assert.StartsWith($"{folder.File("none")} cannot be read: ", Refusal(folder.File("none")), StringComparison.Ordinal);
    }

    /// <summary>Files above 4 GB keep lengths and places in 64-bit records; here a small file does.</summary>
    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public void Directories_of_64_bits_are_read(bool marked)
    {
        var file = TorchFile.StateDict([("x", tensor(new[] { 1f, 2f }))]);
        var path = folder.Write("a", WithDirectoryOf64Bits(file, marked));
        if (!marked)
        {
            Assert.Equal(
                $"{path} is truncated or damaged: the 64-bit record of its directory is missing. Download or save it again.",
                Refusal(path));
            return;
        }
        using var reader = new TorchReader(path);
        var target = zeros(2);
        reader.ReadInto("x", target);
        Assert.Equal([1, 2], target.ToDoubles());
    }

    [Fact]
    public void Lying_lengths_allocate_nothing()
    {
        var pickle = new TorchFile.Pickle().Begin().Text("w").Tensor("Float", "0", 1, 0, [1L << 40, 1L << 20], [0, 0]).End();
        var path = Write(pickle, new byte[4]);
        var before = GC.GetAllocatedBytesForCurrentThread();
        using (var file = new TorchReader(path))
            Assert.Contains("[1099511627776, 1048576]", Refusal(() => file.ReadInto("w", zeros(1))), StringComparison.Ordinal);
        Assert.InRange(GC.GetAllocatedBytesForCurrentThread() - before, 0, 1_000_000);
    }

    [Fact]
    public void A_file_that_shrinks_while_open_is_refused()
    {
        if (OperatingSystem.IsWindows())
            return; // Windows does not let an open file be cut.
        var path = folder.Write("a", TorchFile.StateDict([("x", ones(4))]));
        using var file = new TorchReader(path);
        using (var stream = new FileStream(path, FileMode.Open, FileAccess.Write, FileShare.ReadWrite))
            stream.SetLength(100);
        Assert.Equal(
            $"{path} ended while tensor \"x\" was read: it shrank since it was opened.", Refusal(() => file.ReadInto("x", zeros(4))));
    }

    [Fact]
    public void Damaged_files_are_read_or_refused_and_never_allocate_what_they_claim()
    {
        var valid = TorchFile.StateDict([("w", ones(2, 3)), ("b", ones(3).to(ScalarType.BFloat16))]);
        var edit = Gen.Select(Gen.Int[0, 2], Gen.Int[0, valid.Length - 1], Gen.Byte);
        var refused = 0;
        edit.Array[1, 4].Sample(
            edits => refused += ReadOrRefuse(edits.Aggregate(valid.ToList(), Damage).ToArray()) ? 0 : 1, iter: 3000, threads: 1);
        Assert.InRange(refused, 1000, 3000);
    }

    /// <summary>Opcodes that a state dict has, drawn at random, so that many get past the list of those allowed.</summary>
    [Fact]
    public void Random_opcodes_are_read_or_refused()
    {
        var pickle = new TorchFile.Pickle().Begin().Text("w").Tensor("Float", "0", 2, 0, [2], [1]).End();
        byte[][] pieces =
        [
            .. "}()NtuseRbQ.".Select(c => new[] { (byte)c }), [0x85], [0x86], [0x87], [0x88], [0x89], [(byte)'K', 1], [(byte)'q', 1], [(byte)'h', 1],
            new TorchFile.Pickle().Text("w").ToArray(), new TorchFile.Pickle().Global("torch", "FloatStorage").ToArray(),
            new TorchFile.Pickle().Global("collections", "OrderedDict").ToArray(),
            new TorchFile.Pickle().Global("torch._utils", "_rebuild_parameter").ToArray(),
            new TorchFile.Pickle().Tensor("Float", "0", 2, 0, [2], [1]).ToArray(),
        ];
        var read = 0;
        Gen.Select(Gen.Int[0, pickle.Length - 1], Gen.Int[0, pieces.Length - 1].Array[0, 12]).Sample(
            (start, drawn) => read += ReadOrRefuse(TorchFile.Archive(
                [.. pickle[..start], .. drawn.SelectMany(piece => pieces[piece]), .. pickle[start..]], [new byte[8]])) ? 1 : 0,
            iter: 2000,
            threads: 1);
        Assert.InRange(read, 1, 1000);
    }

    /// <summary>False where the file was refused; anything else than a refusal that names it fails the test.</summary>
    private bool ReadOrRefuse(byte[] bytes)
    {
        var path = folder.Write("fuzz", bytes);
        var before = GC.GetAllocatedBytesForCurrentThread();
        try
        {
            using var file = new TorchReader(path);
            using var inner = NewDisposeScope();
            foreach (var name in file.Names)
                file.ReadInto(name, name == "b" ? zeros(3) : zeros(2, 3));
            return true;
        }
        catch (InvalidInputException e)
        {
            Assert.StartsWith(path, e.Message, StringComparison.Ordinal);
            return false;
        }
        finally
        {
            Assert.InRange(GC.GetAllocatedBytesForCurrentThread() - before, 0, 1_000_000);
        }
    }

    private static List<byte> Damage(List<byte> bytes, (int Kind, int Position, byte Value) edit)
    {
        var position = Math.Min(edit.Position, bytes.Count);
        if (edit.Kind == 0 && position < bytes.Count)
            bytes[position] ^= (byte)(edit.Value | 1);
        else if (edit.Kind == 1)
            bytes.Insert(position, edit.Value);
        else
            bytes.RemoveRange(position, Math.Min(1 + edit.Value / 16, bytes.Count - position));
        return bytes;
    }

    /// <summary>Moves the lengths and places of an archive's directory into 64-bit fields.</summary>
    private static byte[] WithDirectoryOf64Bits(byte[] file, bool marked)
    {
        var end = file.Length - 22;
        var start = BinaryPrimitives.ReadInt32LittleEndian(file.AsSpan(end + 16));
        List<byte> result = [.. file[..start]];
        for (var at = start; at < end;)
        {
            var nameLength = BinaryPrimitives.ReadUInt16LittleEndian(file.AsSpan(at + 28));
            var entry = file[at..(at + 46 + nameLength)];
            var field = new byte[28];
            field[0] = 1;
            field[2] = 24;
            entry.AsSpan(24, 4).CopyTo(field.AsSpan(4)); // the length
            entry.AsSpan(20, 4).CopyTo(field.AsSpan(12)); // as stored
            entry.AsSpan(42, 4).CopyTo(field.AsSpan(20)); // the place
            entry.AsSpan(20, 8).Fill(255);
            entry.AsSpan(42, 4).Fill(255);
            entry[30] = 28;
            result.AddRange(entry);
            result.AddRange(field);
            at += 46 + nameLength + BinaryPrimitives.ReadUInt16LittleEndian(file.AsSpan(at + 30));
        }
        var record = new byte[56];
        "PK\u0006\u0006"u8.CopyTo(record);
        BinaryPrimitives.WriteInt64LittleEndian(record.AsSpan(40), result.Count - start);
        BinaryPrimitives.WriteInt64LittleEndian(record.AsSpan(48), start);
        var locator = new byte[20];
        if (marked)
            "PK\u0006\u0007"u8.CopyTo(locator);
        BinaryPrimitives.WriteInt64LittleEndian(locator.AsSpan(8), result.Count);
        var last = file[end..];
        last.AsSpan(8, 12).Fill(255);
        return [.. result, .. record, .. locator, .. last];
    }

    private string Write(byte[] pickle, params byte[][] storages) =>
        folder.Write(Guid.NewGuid().ToString("N"), TorchFile.Archive(pickle, storages));

    private static string Refusal(string path) => Assert.Throws<InvalidInputException>(() => new TorchReader(path)).Message;

    private static string Refusal(Action action) => Assert.Throws<InvalidInputException>(action).Message;

    /// <summary>A tuple that a pickle keeps costs two bytes each time it comes again: nothing may be copied of it.</summary>
    [Theory]
    [InlineData(100_000, 1)]
    [InlineData(64, 20_000)]
    public void A_shape_that_comes_again_and_again_costs_nothing(int dimensions, int times)
    {
        var pickle = new TorchFile.Pickle().Op(0x80, 2).Op("(");
        for (var dimension = 0; dimension < dimensions; dimension++)
            pickle.Int(1);
        pickle.Op("t").Op("q").Op(200).Global("torch._utils", "_rebuild_tensor_v2").Op("q").Op(201);
        pickle.Op("(").Text("storage").Global("torch", "FloatStorage").Text("0").Text("cpu").Int(1).Op("t").Op("Q").Op("q").Op(202);
        pickle.Global("collections", "OrderedDict").Op(")R").Op("q").Op(203);
        for (var time = 0; time < times; time++)
            pickle.Op("h").Op(201).Op("(").Op("h").Op(202).Int(0).Op("h").Op(200).Op("h").Op(200).Op(0x89).Op("h").Op(203).Op("tR");
        var bytes = TorchFile.Archive(pickle.Op(".").ToArray(), [new byte[4]]);
        var path = folder.Write("a.bin", bytes);
        var before = GC.GetAllocatedBytesForCurrentThread();
        var message = Assert.Throws<InvalidInputException>(() => new TorchReader(path)).Message;
        Assert.Matches(
            dimensions > 64 ? $"^{Regex.Escape(path)}: its pickle, at byte [0-9]+, makes a value in a way torch.save does not\\.$" : $"^{Regex.Escape(path)} holds no dict of tensors; ",
            message);
        Assert.InRange(GC.GetAllocatedBytesForCurrentThread() - before, 0, 40 * bytes.Length);
    }
}
