using System.Text;
using static TorchSharp.torch;

namespace Dpo.Tests;

public sealed class SafetensorsWriterTests : IDisposable
{
    private readonly TemporaryFolder folder = new();

    public void Dispose() => folder.Dispose();

    [Fact]
    public void The_bytes_are_those_of_a_file_put_together_by_hand()
    {
        using var scope = NewDisposeScope();
        SafetensorsWriter.Write(folder.File("a"),
        [
            ("half", tensor(new[] { -1.5f }).to(ScalarType.BFloat16)),
            ("wé\"", tensor(new[] { 1f, 2f, 3f, 4f }).view(2, 2).t()),
            ("empty", zeros(0, 3)),
            ("one", tensor(-1.5f)),
        ]);
        // Larger elements first, 4 spaces of padding, and the transposed values 1, 3, 2, 4.
        const string header =
            """{"__metadata__":{"format":"pt"},"wé\"":{"dtype":"F32","shape":[2,2],"data_offsets":[0,16]}""" +
            ""","empty":{"dtype":"F32","shape":[0,3],"data_offsets":[16,16]}""" +
            ""","one":{"dtype":"F32","shape":[],"data_offsets":[16,20]}""" +
            ""","half":{"dtype":"BF16","shape":[1],"data_offsets":[20,22]}}""";
        byte[] expected = SafetensorsBytes.File(
            header + "    ",
            0, 0, 0x80, 0x3F, 0, 0, 0x40, 0x40, 0, 0, 0, 0x40, 0, 0, 0x80, 0x40,
            0, 0, 0xC0, 0xBF,
            0xC0, 0xBF);
        Assert.Equal(expected, File.ReadAllBytes(folder.File("a")));
    }

    [Fact]
    public void The_fixture_is_written_back_byte_for_byte()
    {
        var original = Fixture.Path("models", "gpt2", "model.safetensors");
        using var file = new SafetensorsReader(original);
        using var scope = NewDisposeScope();
        SafetensorsWriter.Write(folder.File("a"), file.Names.Select(name => (name, file.Read(name))));
        Assert.Equal(File.ReadAllBytes(original), File.ReadAllBytes(folder.File("a")));
    }

    [Theory]
    [InlineData(ScalarType.Float64)]
    [InlineData(ScalarType.Float32)]
    [InlineData(ScalarType.Float16)]
    [InlineData(ScalarType.BFloat16)]
    [InlineData(ScalarType.Int64)]
    [InlineData(ScalarType.Int32)]
    [InlineData(ScalarType.Int16)]
    [InlineData(ScalarType.Int8)]
    [InlineData(ScalarType.Byte)]
    [InlineData(ScalarType.Bool)]
    public void Every_type_comes_back_as_it_was(ScalarType type)
    {
        using var scope = NewDisposeScope();
        var source = tensor(new[] { 0f, 1f, 3f, 100f, 0f, 7f }).to(type).view(3, 2);
        SafetensorsWriter.Write(folder.File("a"), [("x", source)]);
        using var file = new SafetensorsReader(folder.File("a"));
        Assert.Equal(type, file.Dtype("x"));
        Assert.True(file.Read("x").Equals(source));
    }

    [Fact]
    public void A_parameter_that_requires_gradients_is_written()
    {
        using var scope = NewDisposeScope();
        SafetensorsWriter.Write(folder.File("a"), [("x", ones(2, requires_grad: true).t())]);
        using var file = new SafetensorsReader(folder.File("a"));
        Assert.True(file.Read("x").Equals(ones(2)));
    }

    [Fact]
    public void Texts_stand_sorted_behind_the_format()
    {
        SafetensorsWriter.Write(folder.File("a"), [], new Dictionary<string, string> { ["b"] = "é\"", ["a"] = "1" });
        Assert.Equal(
            """{"__metadata__":{"format":"pt","a":"1","b":"é\""}}""",
            Encoding.UTF8.GetString(File.ReadAllBytes(folder.File("a"))[8..]).TrimEnd(' '));
        using var file = new SafetensorsReader(folder.File("a"));
        Assert.Equal("é\"", file.Metadata["b"]);
        Assert.StartsWith(
            "The text \"format\" is written by the writer itself.",
            Assert.Throws<ArgumentException>(
                () => SafetensorsWriter.Write(folder.File("a"), [], new Dictionary<string, string> { ["format"] = "tf" })).Message,
            StringComparison.Ordinal);
    }

    [Fact]
    public void A_failure_while_tensors_are_gathered_or_written_leaves_the_old_file_alone()
    {
        using var scope = NewDisposeScope();
        var path = folder.Write("a.safetensors", 1, 2, 3);
        Assert.Throws<FormatException>(() => SafetensorsWriter.Write(path, Interrupted()));
        // A tensor on torch's "meta" device has a shape but no data: it fails after the first tensor was written.
        Assert.ThrowsAny<Exception>(() => SafetensorsWriter.Write(path, [("x", ones(2)), ("y", ones(2, device: META))]));
        Assert.Equal([path], Directory.GetFiles(folder.Path));
        Assert.Equal([1, 2, 3], File.ReadAllBytes(path));

        static IEnumerable<(string, Tensor)> Interrupted()
        {
            yield return ("x", ones(2));
            throw new FormatException();
        }
    }

    [Fact]
    public void A_missing_folder_is_reported_as_such()
    {
        Assert.Throws<DirectoryNotFoundException>(() => SafetensorsWriter.Write(folder.File("none/a"), []));
    }

    [Fact]
    public void Names_and_types_that_the_format_lacks_are_refused()
    {
        using var scope = NewDisposeScope();
        var path = folder.File("a");
        Assert.StartsWith(
            "The name \"x\" is taken: a safetensors file names every tensor once.",
            Assert.Throws<ArgumentException>(() => SafetensorsWriter.Write(path, [("x", ones(1)), ("x", ones(1))])).Message,
            StringComparison.Ordinal);
        Assert.Throws<ArgumentException>(() => SafetensorsWriter.Write(path, [("__metadata__", ones(1))]));
        Assert.StartsWith(
            "Tensor \"z\" is of the type ComplexFloat32; safetensors stores F64, F32, F16, BF16, I64, I32, I16, I8, U8, BOOL.",
            Assert.Throws<ArgumentException>(
                () => SafetensorsWriter.Write(path, [("z", ones(1, dtype: ScalarType.ComplexFloat32))])).Message,
            StringComparison.Ordinal);
        Assert.Empty(Directory.GetFiles(folder.Path));
    }
}
