using System.Collections.Concurrent;
using System.Runtime.InteropServices;
using Dpo.Layout;
using Dpo.Native;
using TorchSharp;
using static TorchSharp.torch;

namespace Dpo.Models.Attentions;

/// <summary>
/// Attention over a <see cref="SequenceLayout"/> on an NVIDIA GPU, in bf16: one call of LibTorch's flash attention (Dao 2023) for
/// sequences of all lengths laid end to end. Nothing is padded, there is no mask, and query heads share keys where they lie.
/// </summary>
/// <remarks>
/// An example's prompt and first completion are one causal sequence. The rows of every further completion are the last of a
/// sequence that begins with the prompt: its keys and values are gathered in front of the completion's own, the prompt's queries
/// are not computed again.
/// </remarks>
internal sealed class FlashAttention : Attention
{
    // TorchSharp has no binding for the kernel, but TorchScript sees every operator. The causal border is that of the last row,
    // the window's sizes count the rows before and after a row; -1 for all.
    private static readonly jit.CompilationUnit script = jit.compile(
        """
        def attend(query, key, value, query_starts, key_starts, most_queries: int, most_keys: int, scale: float, before: int):
            return torch._flash_attention_forward(
                query, key, value, query_starts, key_starts, most_queries, most_keys, 0.0, True, False,
                scale=scale, window_size_left=before, window_size_right=0)[0]

        """);

    private static readonly ConcurrentDictionary<int, bool> served = new();

    private readonly Tensor queryStarts;
    private readonly Tensor keyStarts;
    private readonly Tensor? rowOfKey;
    private readonly int mostQueries;
    private readonly int mostKeys;

    /// <summary>Makes the positions and indices, which all layers share; they belong to the current dispose scope.</summary>
    /// <param name="layout">Where prompts and completions lie.</param>
    /// <param name="device">The device of the queries.</param>
    public FlashAttention(SequenceLayout layout, Device device)
    {
        Positions = DeviceCopy.Of(layout.Positions, device);
        var sequences = new FlashSequences(layout);
        (mostQueries, mostKeys) = (sequences.MostQueries, sequences.MostKeys);
        queryStarts = DeviceCopy.Of([.. sequences.QueryStarts], device);
        keyStarts = DeviceCopy.Of([.. sequences.KeyStarts], device);
        // Where no completion shares a prompt, keys lie as they are wanted.
        rowOfKey = sequences.RowOfKey.Count == layout.RowCount ? null : DeviceCopy.Of([.. sequences.RowOfKey], device);
    }

    public override Tensor Positions { get; }

    /// <summary>Whether the kernel takes such queries.</summary>
    /// <param name="device">The device.</param>
    /// <param name="dtype">The data type of the queries.</param>
    /// <param name="headSize">Entries of a head.</param>
    public static bool Takes(Device device, ScalarType dtype, int headSize) =>
        device.type == DeviceType.CUDA && dtype == ScalarType.BFloat16 && headSize % 8 == 0 && headSize <= 256
        && served.GetOrAdd(device.index, static (_, device) => IsServed(device), device);

    public override Tensor Attend(int layer, Tensor query, Tensor key, Tensor value, AttentionStyle style = default)
    {
        if (style.SoftCap is not null)
        {
            throw new InvalidOperationException(
                "A layer caps its scores, but the model said so of none; its StyleOf must say what its layers do.");
        }
        using var scope = NewDisposeScope();
        if (rowOfKey is not null)
            (key, value) = (key.index_select(0, rowOfKey), value.index_select(0, rowOfKey));
        return Run(query, key, value, style).flatten(1).MoveToOuterDisposeScope();
    }

    private Tensor Run(Tensor query, Tensor key, Tensor value, AttentionStyle style)
    {
        // TorchSharp would leave numbers to the garbage collector before the script has read them.
        using var queries = mostQueries.ToScalar();
        using var keys = mostKeys.ToScalar();
        using var scale = (style.Scale ?? 1 / Math.Sqrt(query.shape[2])).ToScalar();
        using var before = (style.Window is { } window ? window - 1 : -1).ToScalar();
        return (Tensor)script.invoke("attend", query, key, value, queryStarts, keyStarts, queries, keys, scale, before);
    }

    /// <summary>Asks the device itself: GPUs before Ampere, and LibTorch for some systems, have no such kernel.</summary>
    private static bool IsServed(Device device)
    {
        using var scope = NewDisposeScope();
        using var noGrad = no_grad();
        try
        {
            var probe = zeros([2, 1, 8], ScalarType.BFloat16, device);
            new FlashAttention(new SequenceLayout([new(2, [])]), device).Attend(0, probe, probe, probe);
            return true;
        }
        catch (ExternalException)
        {
            return false;
        }
    }
}
