using TorchSharp;
using static TorchSharp.torch;

namespace Dpo.Tests;

public class HeadBlocksTests
{
    private const long Default = 1L << 28;

    /// <summary>Vocabularies and widths of GPT-2 124M, Llama 3 of 1B and 8B, Mistral 7B, Gemma 2 of 9B, and 4,096 rows: how many blocks.</summary>
    [Theory]
    [InlineData(50257, 768, 1280, 50240, 8)]
    [InlineData(128256, 2048, 1024, 64128, 8)]
    [InlineData(128256, 4096, 2048, 32064, 8)]
    [InlineData(32000, 4096, 2048, 32000, 2)]
    [InlineData(256000, 3584, 1792, 36544, 24)]
    public void On_a_GPU_they_are_few(int vocabulary, int width, int rows, int columns, int count)
    {
        var blocks = HeadBlocks.Within(Default, vocabulary, width);
        Assert.Equal((rows, columns), (blocks.Rows, blocks.Columns));
        Assert.Equal(count, Count(blocks, 4096, vocabulary));
        Assert.Equal(blocks, HeadBlocks.Of(new Device(DeviceType.CUDA), empty([vocabulary, width], device: META), Default));
        Assert.Equal(HeadBlocks.OfCpu, HeadBlocks.Of(CPU, empty([vocabulary, width], device: META), Default));
    }

    /// <summary>2²⁶ logits are 1,280 rows of 50,240 and the hidden states of 87,381 rows, of which 68 times 1,280 are gathered; and with
    /// no memory to speak of one of each is computed.</summary>
    [Fact]
    public void What_goes_with_a_block_is_as_much_as_memory_allows()
    {
        Assert.Equal(new HeadBlocks(1280, 50240, 68 * 1280, 21845), HeadBlocks.Within(Default, 50257, 768));
        Assert.Equal(new HeadBlocks(1024, 64128, 32 * 1024, 8192), HeadBlocks.Within(Default, 128256, 2048));
        Assert.Equal(new HeadBlocks(1, 1, 1, 1), HeadBlocks.Within(1, 50257, 768));
    }

    [Fact]
    public void They_keep_within_the_memory()
    {
        var random = new Random(7);
        for (var trial = 0; trial < 10_000; trial++)
        {
            long vocabulary = random.Next(1, 300_000), width = random.Next(1, 16_384), memory = 1L << random.Next(0, 36);
            var blocks = HeadBlocks.Within(memory, vocabulary, width);
            Assert.InRange(blocks.Columns, 1, vocabulary);
            Assert.Equal(0, blocks.GatheredRows % blocks.Rows);
            // One of each there must be.
            AssertWithin(blocks.Rows * blocks.Columns, 4);
            AssertWithin(blocks.Columns, 2 * width);
            AssertWithin(blocks.GatheredRows / blocks.Rows, 4 * width * blocks.Rows);
            AssertWithin(blocks.Targets, 16 * width);
            if (blocks.Columns < vocabulary / 64 * 64 && blocks.Columns * 2 * width < memory / 4)
                Assert.InRange(blocks.Rows, Math.Min(1024, memory / 4), 4096);

            void AssertWithin(long count, long bytes) => Assert.True(count == 1 || count * bytes <= memory, $"{blocks} of {memory}");
        }
    }

    [Fact]
    public void A_pass_computes_as_many_as_that()
    {
        using var scope = NewDisposeScope();
        using var noGrad = no_grad();
        const int Rows = 4096, Vocabulary = 128256;
        var (hidden, weight) = (randn(Rows, 8), randn(Vocabulary, 8));
        var before = ChunkedHead.BlocksComputed;
        var blocks = HeadBlocks.Within(Default, Vocabulary, 2048);
        var actual = ChunkedHead.LogProbs(new(weight), hidden, arange(Rows), tensor([7L, 4095L]), tensor([128255L, 5L]), blocks);
        Assert.Equal(8, ChunkedHead.BlocksComputed - before);
        var logits = hidden.index_select(0, tensor([7L, 4095L])).mm(weight.t()).log_softmax(1);
        Numbers.AssertClose([logits[0, 128255].item<float>(), logits[1, 5].item<float>()], actual.ToDoubles(), 1e-5);
    }

    [Fact]
    public void The_memory_is_256_MB_unless_a_model_says_otherwise()
    {
        using var model = new Gpt2(TrainerTests.Shape);
        Assert.Equal(256 << 20, model.LogitsMemory);
        model.LogitsMemory = 1L << 33;
        Assert.Equal(1L << 33, model.LogitsMemory);
        Assert.Throws<ArgumentOutOfRangeException>(() => model.LogitsMemory = 0);
    }

    private static long Count(HeadBlocks blocks, long rows, long vocabulary) =>
        (rows + blocks.Rows - 1) / blocks.Rows * ((vocabulary + blocks.Columns - 1) / blocks.Columns);
}
