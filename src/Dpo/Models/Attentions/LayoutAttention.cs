using System.Runtime.CompilerServices;
using Dpo.Layout;
using Dpo.Native;
using static TorchSharp.torch;

namespace Dpo.Models.Attentions;

/// <summary>Chooses the attention over a layout, and makes it once for all models that run over that layout while it lives: a policy and
/// its reference.</summary>
internal static class LayoutAttention
{
    private static readonly ConditionalWeakTable<SequenceLayout, Made> last = [];

    /// <summary>The attention that suits the device. It belongs to the dispose scope that is the current one when it is made.</summary>
    /// <param name="layout">Where prompts and completions lie.</param>
    /// <param name="device">The device of the queries.</param>
    /// <param name="dtype">The data type of the queries.</param>
    /// <param name="model">The model, which says what heads and windows there are.</param>
    public static Attention Of(SequenceLayout layout, Device device, ScalarType dtype, Transformer model)
    {
        var isFlash = !model.CapsScores && FlashAttention.Takes(device, dtype, model.HeadSize);
        var kind = new Kind(device.type, device.index, dtype, DeviceStrategies.AreFor(device), isFlash, string.Join(',', model.Windows));
        if (last.TryGetValue(layout, out var made) && made.Kind == kind && !made.Attention.Positions.IsInvalid)
            return made.Attention;

        Attention attention = !DeviceStrategies.AreFor(device)
            ? new SharedPromptAttention(layout, device, model.Windows)
            : isFlash ? new FlashAttention(layout, device) : new BucketedAttention(layout, device, dtype, model.Windows);
        last.AddOrUpdate(layout, new Made(kind, attention));
        return attention;
    }

    /// <summary>What an attention was made for.</summary>
    private sealed record Kind(TorchSharp.DeviceType Device, int Index, ScalarType Dtype, bool AsOnDevice, bool IsFlash, string Windows);

    private sealed record Made(Kind Kind, Attention Attention);
}
