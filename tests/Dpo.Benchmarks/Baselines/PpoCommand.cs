using System.CommandLine;
using System.Diagnostics;
using Dpo.Baselines;
using Dpo.Samples;
using Spectre.Console;
using static TorchSharp.torch;

namespace Dpo.Benchmarks;

/// <summary>What to measure: rounds of PPO on a model of this shape.</summary>
internal sealed record PpoRequest(string Shape, int Rounds);

/// <summary>Seconds of a round, and of what it cannot do without, each by itself; and bytes of memory in use after the first rounds and at the
/// end.</summary>
internal sealed record PpoMeasurement(double Round, double Sampling, double Measuring, double Passes, double Optimizer, long Early, long Late, long Tensors);

/// <summary><c>ppo</c>: how much of a round of PPO is generation, passes of the models and the optimizer's steps.</summary>
internal static class PpoCommand
{
    public const string Child = "ppo-child";

    private const int Completions = 128, Tokens = 48, PromptTokens = 32;

    public static Command Create()
    {
        var command = new Command("ppo", "A round of PPO, 128 completions of 48 tokens: its parts by themselves, and its memory.");
        var shape = ModelShapes.Option();
        var rounds = CliOption.Whole("--rounds", "Rounds; the fastest counts. [default: 4]");
        command.Options.Add(shape);
        command.Options.Add(rounds);
        command.SetAction(parsed => Run(parsed.GetValue(shape)!, parsed.GetValue(rounds) ?? 4));
        return command;
    }

    private static void Run(string shape, int rounds)
    {
        var measured = ChildProcess.Run<PpoRequest, PpoMeasurement>(Child, new(shape, rounds));
        var parts = measured.Sampling + measured.Measuring + measured.Passes + measured.Optimizer;
        var table = Report.Table("round, s", "sampling", "old log-probabilities and values", "passes of 4 updates", "optimizer", "together");
        table.AddRow(
            $"{measured.Round:0.00}", $"{measured.Sampling:0.00}", $"{measured.Measuring:0.00}", $"{measured.Passes:0.00}",
            $"{measured.Optimizer:0.00}", $"{parts / measured.Round:P0}");
        Report.Line($"{shape}, {Completions} completions of {Tokens} tokens, {get_num_threads()} threads.");
        Report.Show(table);
        Report.Line($"Memory after 2 rounds {measured.Early >> 20} MB, after {rounds} {measured.Late >> 20} MB; live tensors grew by {measured.Tensors}.");
    }

    public static PpoMeasurement Measure(PpoRequest request)
    {
        using var policy = new Gpt2(ModelShapes.Config(request.Shape));
        using var pair = new PolicyReferencePair(policy);
        var random = new Random(0);
        IReadOnlyList<int>[] prompts =
            [.. Enumerable.Range(0, Completions).Select(_ => (int[])[.. Enumerable.Range(0, PromptTokens).Select(_ => random.Next(policy.VocabularySize))])];
        var options = new PpoOptions { Rounds = request.Rounds, RolloutSize = Completions, Sampling = new() { MaxNewTokens = Tokens, BatchSize = Completions } };
        var seconds = new List<double>();
        var (early, tensors) = (0L, 0L);
        using (var trainer = new PpoTrainer(pair, new FunctionReward(answer => answer.Ids[0] % 7), options))
            trainer.Train(prompts, new Rounds(step =>
            {
                seconds.Add(step.Elapsed.TotalSeconds);
                if (step.Step == 2)
                    (early, tensors) = (Environment.WorkingSet, Tensor.TotalCount);
            }));
        var (late, grown) = (Environment.WorkingSet, Tensor.TotalCount - tensors);

        var sampling = Best(() => Sampler.Sample(policy, prompts, options.Sampling));
        using var models = new ActorCritic(policy, value: null, temperature: 1);
        var rollouts = new RolloutSampling(models, pair, new FunctionReward(_ => 0), null, options);
        TrainingExample[] examples = [.. Sampler.Sample(policy, prompts, options.Sampling).Select(sample => new TrainingExample(prompts[sample.PromptIndex], [sample.Tokens], []))];
        double[] scores = [.. examples.Select(_ => 0.0)];
        bool[] ended = [.. examples.Select(_ => false)];
        var measuring = Best(() => rollouts.Measure(examples, scores, ended));
        using var optimizer = new FusedAdamW(models.parameters(), 0);
        var passes = Best(() =>
        {
            optimizer.zero_grad();
            foreach (var part in new PreferenceBatch(examples).Split(options.MicroBatchTokens))
            {
                using var scope = NewDisposeScope();
                using var pass = new Native.BackwardPass();
                var (logProbs, values) = models.Measure(part.To(CPU));
                pass.Over(logProbs.PerToken.sum().Plus(values.sum())).backward();
            }
        });
        var updates = Best(() => optimizer.step());
        return new(seconds.Skip(1).Min(), sampling, measuring, 4 * passes, 4 * updates, early, late, grown);
    }

    private static double Best(Action action) => Enumerable.Range(0, 3).Select(_ =>
    {
        var clock = Stopwatch.StartNew();
        action();
        return clock.Elapsed.TotalSeconds;
    }).Min();

    private sealed class Rounds(Action<TrainingMetrics> told) : IProgress<TrainingMetrics>
    {
        public void Report(TrainingMetrics value) => told(value);
    }
}
