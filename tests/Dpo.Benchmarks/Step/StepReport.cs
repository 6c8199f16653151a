using System.Text.Json;
using Spectre.Console;

namespace Dpo.Benchmarks;

/// <summary>The figures of <c>step</c>, as a table and as JSON.</summary>
internal sealed class StepReport
{
    private static readonly JsonSerializerOptions Style = new() { PropertyNamingPolicy = JsonNamingPolicy.SnakeCaseLower, WriteIndented = true };

    private readonly PairLengths[][] batches;
    private readonly Figures figures;
    private readonly double paddedFlops;
    private readonly double usefulForward;

    public StepReport(
        Gpt2Config shape, PairLengths[][] batches, IReadOnlyDictionary<string, Measurement> measured, double sgemm, double sgemmBf16)
    {
        this.batches = batches;
        var flops = new FlopCount(shape);
        // Backward costs twice the forward; a live reference is one forward more.
        paddedFlops = 4 * batches.Sum(flops.Padded);
        usefulForward = batches.Sum(flops.Useful);
        var pairs = batches.Sum(batch => batch.Length);
        var tokens = batches.Sum(batch => batch.Sum(pair => pair.UsefulTokens));

        var rows = measured.Select(row =>
        {
            var (name, m) = row;
            return new Row(
                name, pairs / m.TotalSeconds, tokens / m.TotalSeconds, m.UserSeconds.Sum() / batches.Length, m.PeakBytes,
                FlopsOf(name) / m.TotalSeconds / (name == StepCommand.CachedBf16 ? sgemmBf16 : sgemm));
        }).ToArray();
        double Speed(string name) => rows.Single(row => row.Name == name).PairsPerS / rows[0].PairsPerS;
        figures = new Figures(
            rows,
            new Ratios(Speed(StepCommand.Live), Speed(StepCommand.Cached), Speed(StepCommand.CachedBf16),
                (double)measured[StepCommand.Live].PeakBytes / measured[StepCommand.ReferenceAlgorithm].PeakBytes),
            sgemm, sgemmBf16);
    }

    /// <summary>What a row has to compute; for the reference algorithm what it does compute, padding included.</summary>
    private double FlopsOf(string name) => name switch
    {
        StepCommand.ReferenceAlgorithm => paddedFlops,
        StepCommand.Live => 4 * usefulForward,
        _ => 3 * usefulForward,
    };

    public void Print(string shape)
    {
        double Mean(Func<PairLengths, int> length) => batches.Average(batch => batch.Average(length));
        Report.Line($"{shape}, {batches.Length} batches of {batches[0].Length} pairs; mean prompt {Mean(pair => pair.Prompt):0}, "
            + $"chosen {Mean(pair => pair.Chosen):0}, rejected {Mean(pair => pair.Rejected):0} tokens; "
            + $"padded to {string.Join(", ", batches.Select(batch => batch.Max(pair => pair.Longest)))}.");
        Report.Line($"Peak of matrix products: fp32 {figures.SgemmFlops / 1e9:0} GFLOP/s, bf16 {figures.SgemmBf16Flops / 1e9:0} GFLOP/s.");

        var table = Report.Table("row", "useful tokens/s", "pairs/s", "user CPU s/step", "peak MB above weights", "of the peak", "speed-up", "bound");
        foreach (var row in figures.Rows)
        {
            // bf16 has no bound of its own: its peak is another.
            var bound = row.Name is StepCommand.CachedBf16 ? "" : $"{paddedFlops / FlopsOf(row.Name):0.00}×";
            var share = row.Name is StepCommand.ReferenceAlgorithm ? "executed" : "useful";
            table.AddRow(
                row.Name, $"{row.UsefulTokensPerS:0.0}", $"{row.PairsPerS:0.00}", $"{row.UserCpuS:0.00}", $"{row.PeakBytesAboveWeights / 1e6:0}",
                $"{row.SgemmShare:P0} {share}", $"{row.PairsPerS / figures.Rows[0].PairsPerS:0.00}×", bound);
        }
        Report.Show(table);
        Report.Line($"Memory of live over reference-algorithm: {figures.Ratios.Memory:0.000}. "
            + $"Of the reference algorithm's FLOPs {4 * usefulForward / paddedFlops:P0} are useful.");
    }

    public void Save(string file) => AtomicFile.Write(file, stream => JsonSerializer.Serialize(stream, figures, Style));

    private sealed record Row(
        string Name, double PairsPerS, double UsefulTokensPerS, double UserCpuS, long PeakBytesAboveWeights, double SgemmShare);

    private sealed record Ratios(double Live, double Cached, double CachedBf16, double Memory);

    private sealed record Figures(Row[] Rows, Ratios Ratios, double SgemmFlops, double SgemmBf16Flops);
}
