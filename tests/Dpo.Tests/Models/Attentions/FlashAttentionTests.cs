using System.Runtime.CompilerServices;
using static TorchSharp.torch;

namespace Dpo.Tests;

public class FlashAttentionTests
{
    [Fact]
    public void Its_script_names_an_operator_of_this_LibTorch() => RuntimeHelpers.RunClassConstructor(typeof(FlashAttention).TypeHandle);

    [Fact]
    public void The_CPU_is_not_its_device() => Assert.False(FlashAttention.Takes(CPU, ScalarType.BFloat16, 64));

    [Fact]
    public void Every_row_is_a_query_once_and_a_shared_prompt_is_keys_alone()
    {
        // Prompt of 3, completions of which 2, 0 and 1 tokens are rows; a prompt alone.
        var sequences = new FlashSequences(new SequenceLayout([new(3, [3, 1, 2]), new(2, [])]));
        Assert.Equal([0, 5, 6, 8], sequences.QueryStarts);
        Assert.Equal([0, 5, 9, 11], sequences.KeyStarts);
        Assert.Equal([0, 1, 2, 3, 4, 0, 1, 2, 5, 6, 7], sequences.RowOfKey);
        Assert.Equal((5, 5), (sequences.MostQueries, sequences.MostKeys));
    }
}
