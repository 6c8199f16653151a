using static TorchSharp.torch;

namespace Dpo.Tests;

public sealed class SafetensorsLeakTests
{
    [Fact]
    public void Reading_leaves_no_tensor_behind()
    {
        using var file = new SafetensorsReader(Fixture.Path("models", "gpt2", "model.safetensors"));
        using var target = zeros(384, 32);
        TensorCount.AssertFlat(() =>
        {
            for (var i = 0; i < 50; i++)
            {
                file.ReadInto("transformer.wte.weight", target);
                file.Read("transformer.wte.weight").Dispose();
                Assert.Throws<InvalidInputException>(() => file.ReadInto("transformer.wpe.weight", target));
            }
        });
    }

    [Fact]
    public void Reading_a_file_of_torch_leaves_no_tensor_behind()
    {
        using var file = new TorchReader(Fixture.Path("torch", "state.bin"));
        using var target = zeros(3, 2);
        TensorCount.AssertFlat(() => file.ReadInto("transposed", target));
    }

    [Fact]
    public void Writing_and_reading_in_pieces_leaves_no_tensor_behind()
    {
        using var folder = new TemporaryFolder();
        using var source = ones(1_300_000, 2).t(); // larger than a chunk, and its rows are too; not contiguous
        TensorCount.AssertFlat(() =>
        {
            for (var i = 0; i < 5; i++)
            {
                SafetensorsWriter.Write(folder.File("a"), [("x", source)]);
                using var file = new SafetensorsReader(folder.File("a"));
                file.ReadInto("x", source);
            }
        });
    }
}
