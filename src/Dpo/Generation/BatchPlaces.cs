using System.Buffers;
using System.Runtime.InteropServices;
using static TorchSharp.torch;
using TensorPrimitives = System.Numerics.Tensors.TensorPrimitives;

namespace Dpo;

/// <summary>
/// Which sequence is computed at which place of a batch: prompt by prompt, equally many of each. A sequence that has ended
/// leaves its place computing for nothing, until enough places do.
/// </summary>
/// <param name="sequences">The sequences, <c>[P · K]</c>.</param>
/// <param name="samples">K.</param>
internal sealed class BatchPlaces(IReadOnlyList<SampledSequence> sequences, int samples)
{
    private SampledSequence?[] places = [.. sequences];
    private int samples = samples;

    /// <summary>Draws every sequence's next token; where a sequence has ended, any.</summary>
    /// <param name="logits"><c>[S, V]</c>, fp32 or bf16, on any device.</param>
    /// <param name="options">How.</param>
    /// <param name="drawable">The ids that may be drawn; null for all.</param>
    /// <exception cref="InvalidInputException">The logits of a sequence are no distribution.</exception>
    public (long[] Ids, float[] LogProbs) Draw(Tensor logits, SamplingOptions options, DrawableIds? drawable)
    {
        var (ids, logProbs) = (new long[places.Length], new float[places.Length]);
        using var here = logits.cpu();
        ThreadTeam.Run(places.Length, place =>
        {
            if (places[place] is not { } sequence)
                return;
            using var row = here.select(0, place);
            if (row.dtype == float32)
            {
                (ids[place], logProbs[place]) = TokenDraw.Draw(
                    MemoryMarshal.Cast<byte, float>(row.bytes), sequence.NextUniform, sequence.Seen, options, drawable);
                return;
            }
            // A bf16 is the upper half of a float.
            var bits = ArrayPool<uint>.Shared.Rent((int)row.numel());
            var floats = bits.AsSpan(0, (int)row.numel());
            TensorPrimitives.ConvertTruncating<ushort, uint>(MemoryMarshal.Cast<byte, ushort>(row.bytes), floats);
            TensorPrimitives.ShiftLeft<uint>(floats, 16, floats);
            (ids[place], logProbs[place]) = TokenDraw.Draw(
                MemoryMarshal.Cast<uint, float>(floats), sequence.NextUniform, sequence.Seen, options, drawable);
            ArrayPool<uint>.Shared.Return(bits);
        });
        return logProbs.All(float.IsFinite)
            ? (ids, logProbs)
            : throw new InvalidInputException("The model's logits are not finite numbers; its weights are damaged, or its training has diverged.");
    }

    /// <summary>Adds a token to every sequence.</summary>
    /// <returns>Whether any goes on.</returns>
    public bool Append(long[] ids, float[] logProbs)
    {
        for (var place = 0; place < places.Length; place++)
        {
            if (places[place]?.Append((int)ids[place], logProbs[place]) == true)
                places[place] = null;
        }
        return places.Any(sequence => sequence is not null);
    }

    /// <summary>Closes the ranks where that halves the places.</summary>
    /// <returns>The prompts and places that stay; null where all do.</returns>
    public (IReadOnlyList<int> Prompts, IReadOnlyList<int> Places)? Compact()
    {
        var ofPrompts = Enumerable.Range(0, places.Length).Chunk(samples)
            .Select(ofPrompt => ofPrompt.Where(place => places[place] is not null).ToArray()).ToArray();
        var prompts = Enumerable.Range(0, ofPrompts.Length).Where(prompt => ofPrompts[prompt].Length > 0).ToArray();
        var most = ofPrompts.Max(ofPrompt => ofPrompt.Length);
        if (prompts.Length * most > places.Length / 2)
            return null;

        // A prompt with fewer sequences left than another computes one of them several times.
        var kept = prompts.SelectMany(prompt => Enumerable.Range(0, most).Select(index => (
            Place: ofPrompts[prompt][Math.Min(index, ofPrompts[prompt].Length - 1)],
            IsLive: index < ofPrompts[prompt].Length))).ToArray();
        (places, samples) = ([.. kept.Select(entry => entry.IsLive ? places[entry.Place] : null)], most);
        return (prompts, [.. kept.Select(entry => entry.Place)]);
    }
}
