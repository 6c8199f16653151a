using Spectre.Console;
using static TorchSharp.torch;

namespace Dpo.Benchmarks;

/// <summary>What to measure: a policy's pass over pairs of one length, with the prompt shared or in front of each completion.</summary>
internal sealed record SharingRequest(string Shape, bool Shared, PairLengths Lengths);

/// <summary>What sharing the prompt is worth alone: equal lengths, so no padding, and the same head on both sides.</summary>
internal static class Sharing
{
    public const string Child = "sharing-child";

    private const int Pairs = 8;
    private const int Steps = 2;

    /// <summary>The mean lengths of the paper's three data sets.</summary>
    private static readonly (string Name, PairLengths Lengths)[] Cases =
    [
        ("HH 150/80", new(150, 80, 80)),
        ("TL;DR 512/50", new(512, 50, 50)),
        ("IMDb 5/55", new(5, 55, 55)),
    ];

    public static void Run(string shape, int runs)
    {
        SharingRequest[] requests = [.. Cases.SelectMany(item => new[]
        {
            new SharingRequest(shape, Shared: false, item.Lengths), new SharingRequest(shape, Shared: true, item.Lengths),
        })];
        var measured = ChildProcess.RoundRobin(Child, requests, runs);
        var flops = new FlopCount(ModelShapes.Config(shape));
        var table = Report.Table("prompt/completion", "apart, ms", "shared, ms", "speed-up", "bound by FLOPs", "share of the bound");
        foreach (var ((name, lengths), times) in Cases.Zip(measured.Chunk(2)))
        {
            var (speedUp, bound) = (times[0].Seconds.Min() / times[1].Seconds.Min(), flops.Unshared([lengths]) / flops.Useful([lengths]));
            table.AddRow(
                name, $"{1e3 * times[0].Seconds.Min():0}", $"{1e3 * times[1].Seconds.Min():0}", $"{speedUp:0.00}×",
                $"{bound:0.00}×", $"{speedUp / bound:P0}");
        }
        Report.Line($"The prompt shared or in front of each completion: {shape}, {Pairs} pairs, forward and backward of the policy.");
        Report.Show(table);
    }

    public static Measurement Measure(SharingRequest request)
    {
        using var policy = new Gpt2(ModelShapes.Config(request.Shape));
        using var apart = new PaddedModel(policy);
        var batch = Workload.Batch(Enumerable.Repeat(request.Lengths, Pairs), policy.VocabularySize);
        if (!request.Shared)
            batch = new PreferenceBatch([.. batch.Examples.SelectMany(example => example.Completions.Select(
                completion => new TokenizedExample(example.Prompt, [completion], [])))]);

        policy.StandWithGradients();
        return new Probe().Run(Steps, _ =>
        {
            using var scope = NewDisposeScope();
            var sum = CompletionLogProbs.Compute(request.Shared ? policy : apart, batch.To(CPU)).PerToken.sum();
            sum.backward();
            return sum.item<float>();
        }, before: () => policy.zero_grad());
    }

    /// <summary>A model whose sequences have equal lengths, so that one attention call takes them all.</summary>
    private sealed class PaddedModel(TransformerModel model) : CausalLanguageModel(nameof(PaddedModel))
    {
        public override OutputHead Head => model.Head;

        public override Tensor forward(Tensor ids, SequenceLayout layout) =>
            model.HiddenStates(ids, new PaddedAttention(layout.CompletionCount, layout.RowsOf(0)));
    }
}
