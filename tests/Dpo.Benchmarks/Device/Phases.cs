using System.Diagnostics;
using static TorchSharp.torch;
namespace Dpo.Benchmarks;
internal static class Phases
{
    public static void Run(string shape, int batch, string pairs)
    {
        var on = new Device("cuda");
        using var model = DeviceModel.Draw(shape, on);
        model.Precision = Precision.BFloat16;
        using var optimizer = new FusedAdamW(model.parameters(), 1e-6);
        var lengths = pairs == "hh" ? Workload.Generate(batch, 6) : Enumerable.Repeat(Enumerable.Repeat(new PairLengths(512, 512, 512), batch).ToArray(), 6).ToArray();
        foreach (var (index, some) in lengths.Index())
        {
            using var scope = NewDisposeScope();
            var text = new System.Text.StringBuilder();
            var clock = Stopwatch.StartNew();
            var (k, w) = (Launches.Kernels, Launches.Waits);
            void Took(string what)
            {
                var host = clock.Elapsed.TotalMilliseconds;
                DeviceMemory.Wait(on);
                text.Append($" {what} {host:0.0}/{clock.Elapsed.TotalMilliseconds:0.0}ms {Launches.Kernels - k}k {Launches.Waits - w}w;");
                clock.Restart(); (k, w) = (Launches.Kernels, Launches.Waits);
            }
            var tokens = Workload.Batch(some, model.VocabularySize).To(on); Took("to");
            using (no_grad()) { using var s = NewDisposeScope(); var a = model.AttentionOver(tokens.Layout, on); Took("attention " + a.GetType().Name); var h = model.HeadInputs(tokens.Ids, a); Took("forward"); }
            using (no_grad()) { using var s = NewDisposeScope(); CompletionLogProbs.Compute(model, tokens); Took("compute no grad"); }
            var logProbs = CompletionLogProbs.Compute(model, tokens); Took("compute");
            logProbs.Sums.sum().backward(); Took("backward");
            using (var s = NewDisposeScope()) { nn.utils.clip_grad_norm_(model.parameters(), 10); Took("clip"); }
            optimizer.step(); Took("adamw");
            optimizer.zero_grad();
            Console.WriteLine($"{shape} {index} rows {tokens.Layout.RowCount} targets {tokens.Targets.shape[0]}:{text}");
        }
    }
}
