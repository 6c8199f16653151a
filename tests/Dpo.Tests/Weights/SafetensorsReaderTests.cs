using static TorchSharp.torch;

namespace Dpo.Tests;

public sealed class SafetensorsReaderTests : IDisposable
{
    private readonly TemporaryFolder folder = new();

    public void Dispose() => folder.Dispose();

    [Fact]
    public void The_fixture_has_its_names_shapes_and_numbers()
    {
        using var file = new SafetensorsReader(Fixture.Path("models", "gpt2", "model.safetensors"));
        Assert.Equal(28, file.Names.Count);
        Assert.Equal("transformer.h.0.attn.c_attn.bias", file.Names[0]);
        Assert.Equal("transformer.wte.weight", file.Names[^1]);
        Assert.Equal([32L, 96], file.Shape("transformer.h.0.attn.c_attn.weight"));
        Assert.Equal(ScalarType.Float32, file.Dtype("transformer.wte.weight"));
        Assert.Equal("pt", Assert.Single(file.Metadata).Value);

        using var scope = NewDisposeScope();
        // Read from the files with python's struct module.
        Assert.Equal([-0.1061118021607399f, -0.22599411010742188f], Floats(file.Read("transformer.wte.weight"))[..2]);
        Assert.Equal([0.3472377061843872f, 0.08345398306846619f], Floats(file.Read("transformer.h.0.attn.c_attn.weight"))[1..3]);
        Assert.Equal(1.6331596374511719f, Floats(file.Read("transformer.ln_f.weight"))[2]);
    }

    [Theory]
    [InlineData("F64", ScalarType.Float64, new byte[] { 0, 0, 0, 0, 0, 0, 0xF8, 0xBF, 0, 0, 0, 0, 0, 0, 0, 0x40 }, -1.5, 2)]
    [InlineData("F32", ScalarType.Float32, new byte[] { 0, 0, 0xC0, 0xBF, 0, 0, 0, 0x40 }, -1.5, 2)]
    [InlineData("F16", ScalarType.Float16, new byte[] { 0, 0xBE, 0, 0x40 }, -1.5, 2)]
    [InlineData("BF16", ScalarType.BFloat16, new byte[] { 0xC0, 0xBF, 0, 0x40 }, -1.5, 2)]
    [InlineData("I64", ScalarType.Int64, new byte[] { 0xFE, 255, 255, 255, 255, 255, 255, 255, 3, 0, 0, 0, 0, 0, 0, 0 }, -2, 3)]
    [InlineData("I32", ScalarType.Int32, new byte[] { 0xFE, 255, 255, 255, 3, 0, 0, 0 }, -2, 3)]
    [InlineData("I16", ScalarType.Int16, new byte[] { 0xFE, 255, 3, 1 }, -2, 259)]
    [InlineData("I8", ScalarType.Int8, new byte[] { 0xFE, 3 }, -2, 3)]
    [InlineData("U8", ScalarType.Byte, new byte[] { 0xFE, 3 }, 254, 3)]
    [InlineData("BOOL", ScalarType.Bool, new byte[] { 0, 2 }, 0, 1)]
    public void Every_dtype_is_read(string name, ScalarType type, byte[] data, double first, double second)
    {
        var path = folder.Write("a.safetensors", SafetensorsBytes.File(
            $$$"""{"x":{"dtype":"{{{name}}}","shape":[2],"data_offsets":[0,{{{data.Length}}}]}}""", data));
        using var file = new SafetensorsReader(path);
        using var scope = NewDisposeScope();
        var tensor = file.Read("x");
        Assert.Equal(type, tensor.dtype);
        Assert.Equal([first, second], tensor.to(ScalarType.Float64).data<double>().ToArray());
    }

    [Theory]
    [InlineData(ScalarType.Float64)]
    [InlineData(ScalarType.Float32)]
    [InlineData(ScalarType.Float16)]
    [InlineData(ScalarType.BFloat16)]
    public void Stored_floating_point_is_converted_to_the_targets_type(ScalarType target)
    {
        foreach (var stored in (ScalarType[])[ScalarType.Float64, ScalarType.Float32, ScalarType.Float16, ScalarType.BFloat16])
        {
            using var scope = NewDisposeScope();
            SafetensorsWriter.Write(folder.File("a"), [("x", tensor(new[] { 1.5f, -0.0078125f, 96f }).to(stored))]);
            var filled = zeros(3, dtype: target);
            using (var file = new SafetensorsReader(folder.File("a")))
                file.ReadInto("x", filled);
            Assert.Equal([1.5f, -0.0078125f, 96f], Floats(filled.to(ScalarType.Float32)));
        }
    }

    [Fact]
    public void Fp32_is_rounded_to_bf16_and_a_parameter_may_require_gradients()
    {
        using var scope = NewDisposeScope();
        SafetensorsWriter.Write(folder.File("a"), [("x", tensor(new[] { 1.01f }))]);
        var parameter = zeros(1, dtype: ScalarType.BFloat16, requires_grad: true);
        using var file = new SafetensorsReader(folder.File("a"));
        file.ReadInto("x", parameter);
        Assert.True(parameter.is_leaf && parameter.requires_grad);
        Assert.Equal([1.0078125f], Floats(parameter.detach().to(ScalarType.Float32)));
    }

    [Theory]
    [InlineData(1_300_000, 2, 3)] // narrow rows, several in a chunk
    [InlineData(2, 2, 1_300_000)] // rows longer than a chunk
    [InlineData(1_300_000, 1, 1)]
    public void Tensors_larger_than_a_chunk_are_whole_in_any_layout(long a, long b, long c)
    {
        using var scope = NewDisposeScope();
        var source = arange(a * b * c, dtype: ScalarType.Float32).view(a, b, c);
        SafetensorsWriter.Write(folder.File("a"), [("x", source)]);
        SafetensorsWriter.Write(folder.File("b"), [("x", source.transpose(0, 2))]);
        using var file = new SafetensorsReader(folder.File("a"));
        using var transposed = new SafetensorsReader(folder.File("b"));
        Assert.True(file.Read("x").Equals(source));
        Assert.True(transposed.Read("x").Equals(source.transpose(0, 2).contiguous()));
        var target = zeros(c, b, a);
        file.ReadInto("x", target.transpose(0, 2));
        Assert.True(target.Equals(source.transpose(0, 2)));
    }

    [Fact]
    public void Scalars_and_empty_tensors_are_read()
    {
        var path = folder.Write("a", SafetensorsBytes.File(
            """{"e":{"dtype":"F32","shape":[0,3],"data_offsets":[0,0]},"s":{"dtype":"I8","shape":[],"data_offsets":[0,1]}}""",
            7));
        using var file = new SafetensorsReader(path);
        using var scope = NewDisposeScope();
        Assert.Equal([0L, 3], file.Read("e").shape);
        Assert.Equal(7, file.Read("s").item<sbyte>());
    }

    [Fact]
    public void A_bool_stored_as_another_byte_than_0_and_1_becomes_a_proper_true()
    {
        var data = Enumerable.Range(0, 256).Select(value => (byte)value).ToArray();
        var path = folder.Write("a", SafetensorsBytes.File(
            """{"x":{"dtype":"BOOL","shape":[256],"data_offsets":[0,256]}}""", data));
        using var file = new SafetensorsReader(path);
        using var tensor = file.Read("x");
        Assert.Equal([0, .. Enumerable.Repeat((byte)1, 255)], tensor.bytes.ToArray());
    }

    [Fact]
    public void The_header_need_not_be_in_the_order_of_the_data()
    {
        var path = folder.Write("a", SafetensorsBytes.File(
            """{"b":{"dtype":"U8","shape":[1],"data_offsets":[1,2]},"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]}}""",
            5,
            6));
        using var file = new SafetensorsReader(path);
        using var scope = NewDisposeScope();
        Assert.Equal(["a", "b"], file.Names);
        Assert.Equal(6, file.Read("b").item<byte>());
    }

    [Fact]
    public void What_does_not_fit_the_target_is_refused()
    {
        var path = folder.Write("a", SafetensorsBytes.File(
            """{"x":{"dtype":"I16","shape":[2,1],"data_offsets":[0,4]}}""", 1, 0, 2, 0));
        using var file = new SafetensorsReader(path);
        using var scope = NewDisposeScope();
        Assert.Equal(
            $"{path}: tensor \"x\" has the shape [2, 1], but the shape [1, 2] is needed.",
            Assert.Throws<InvalidInputException>(() => file.ReadInto("x", zeros(1, 2))).Message);
        Assert.Equal(
            $"{path}: tensor \"x\" is stored as I16, which is not converted to Float32.",
            Assert.Throws<InvalidInputException>(() => file.ReadInto("x", zeros(2, 1))).Message);
        Assert.Equal(
            $"{path} has no tensor \"y\".",
            Assert.Throws<InvalidInputException>(() => file.Shape("y")).Message);
    }

    [Fact]
    public void A_file_that_shrinks_while_open_is_refused()
    {
        if (OperatingSystem.IsWindows())
            return; // Windows does not let an open file be cut.
        var path = folder.Write("a", SafetensorsBytes.File(
            """{"x":{"dtype":"U8","shape":[4],"data_offsets":[0,4]}}""", 1, 2, 3, 4));
        using var file = new SafetensorsReader(path);
        using (var stream = new FileStream(path, FileMode.Open, FileAccess.Write, FileShare.ReadWrite))
            stream.SetLength(stream.Length - 1);
        Assert.Equal(
            $"{path} ended while tensor \"x\" was read: it shrank since it was opened.",
            Assert.Throws<InvalidInputException>(() => file.Read("x")).Message);
    }

    private static float[] Floats(Tensor tensor) => tensor.data<float>().ToArray();
}
