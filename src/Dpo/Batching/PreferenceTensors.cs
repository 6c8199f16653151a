using Dpo.Native;
using static TorchSharp.torch;

namespace Dpo.Batching;

/// <summary>What is known of a batch's completions, as indices into them: the S completions of all examples, in order.</summary>
/// <remarks>A loss takes what it needs of it and leaves the rest: DPO the pairs, Plackett–Luce the rankings, KTO the
/// labels.</remarks>
/// <param name="Chosen">Every pair's chosen completion, <c>[P]</c>, int64.</param>
/// <param name="Rejected">Every pair's rejected completion, <c>[P]</c>, int64.</param>
/// <param name="Rankings">The rankings, brought together by the number of their completions: for each number K a tensor
/// <c>[R_K, K]</c>, int64, the best completion of every ranking first.</param>
/// <param name="Desirable">The completions labelled desirable, <c>[D]</c>, int64.</param>
/// <param name="Undesirable">The completions labelled undesirable, <c>[U]</c>, int64.</param>
/// <param name="Mismatched">The completions that belong to other prompts (<see cref="TrainingExample.MismatchedCount"/>),
/// <c>[Q]</c>, int64.</param>
/// <param name="Scores">The score of every completion, <c>[S]</c>, fp32, NaN for mismatched ones; null unless every example of
/// the batch has scores.</param>
public sealed record PreferenceTensors(
    Tensor Chosen,
    Tensor Rejected,
    IReadOnlyList<Tensor> Rankings,
    Tensor Desirable,
    Tensor Undesirable,
    Tensor Mismatched,
    Tensor? Scores)
{
    /// <summary>The examples, in their order, for what is to be known of them on the host; none where the tensors were not made
    /// of examples.</summary>
    internal IReadOnlyList<TrainingExample> Examples { get; init; } = [];

    /// <summary>Makes the tensors of the examples, in their order.</summary>
    internal static PreferenceTensors Of(IReadOnlyList<TrainingExample> examples, Device device)
    {
        var (chosen, rejected) = (new List<long>(), new List<long>());
        var (desirable, undesirable, mismatched) = (new List<long>(), new List<long>(), new List<long>());
        var rankings = new SortedDictionary<int, List<long>>();
        var scores = examples.All(example => example.Scores is not null) ? new List<float>() : null;
        var first = 0L;
        foreach (var example in examples)
        {
            foreach (var pair in example.Pairs)
            {
                chosen.Add(first + pair.Chosen);
                rejected.Add(first + pair.Rejected);
            }
            if (example.Ranking is { } ranking)
            {
                if (!rankings.TryGetValue(ranking.Count, out var sameCount))
                    rankings[ranking.Count] = sameCount = [];
                sameCount.AddRange(ranking.Select(index => first + index));
            }
            foreach (var (index, label) in (example.Labels ?? []).Index())
                (label ? desirable : undesirable).Add(first + index);
            scores?.AddRange(example.Scores!.Concat(Enumerable.Repeat(float.NaN, example.MismatchedCount)));
            first += example.Completions.Count;
            for (var index = first - example.MismatchedCount; index < first; index++)
                mismatched.Add(index);
        }

        Tensor Indices(List<long> indices) => DeviceCopy.Of([.. indices], device);
        return new PreferenceTensors(
            Indices(chosen), Indices(rejected), [.. rankings.Select(same => Indices(same.Value).view(-1, same.Key))],
            Indices(desirable), Indices(undesirable), Indices(mismatched),
            scores is null ? null : DeviceCopy.Of([.. scores], device))
        {
            Examples = examples,
        };
    }
}
