using System.Runtime.CompilerServices;
using Dpo.Layout;
using Dpo.Native;
using static TorchSharp.torch;

namespace Dpo.Models.Attentions;

/// <summary>Chooses the attention over a layout, and makes it once for all models that run over that layout while it lives: a
/// policy and its reference.</summary>
internal static class LayoutAttention
{
    private static readonly ConditionalWeakTable<SequenceLayout, Made> last = [];

    /// <summary>The attention that suits the device. It belongs to the dispose scope that is the current one when it is
    /// made.</summary>
    /// <param name="layout">Where prompts and completions lie.</param>
    /// <param name="device">The device of the queries.</param>
    /// <param name="dtype">The data type of the queries.</param>
    /// <param name="headSize">Entries of a head.</param>
    /// <param name="styles">How every layer attends.</param>
    public static Attention Of(
        SequenceLayout layout, Device device, ScalarType dtype, int headSize, IReadOnlyList<AttentionStyle> styles)
    {
        int[] windows = [.. styles.Select(style => style.Window).OfType<int>().Distinct()];
        var isFlash = styles.All(style => style.SoftCap is null) && FlashAttention.Takes(device, dtype, headSize);
        var kind = new Kind(
            device.type, device.index, dtype, DeviceStrategies.AreFor(device), isFlash, string.Join(',', windows));
        if (last.TryGetValue(layout, out var made) && made.Kind == kind && !made.Attention.Positions.IsInvalid)
            return made.Attention;

        Attention attention = !DeviceStrategies.AreFor(device)
            ? new SharedPromptAttention(layout, device, windows)
            : isFlash ? new FlashAttention(layout, device) : new BucketedAttention(layout, device, dtype, windows);
        last.AddOrUpdate(layout, new Made(kind, attention));
        return attention;
    }

    /// <summary>What an attention was made for.</summary>
    private sealed record Kind(
        TorchSharp.DeviceType Device, int Index, ScalarType Dtype, bool AsOnDevice, bool IsFlash, string Windows);

    private sealed record Made(Kind Kind, Attention Attention);
}
