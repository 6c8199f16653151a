using System.CommandLine;
using System.Diagnostics;
using Dpo.Baselines;
using Dpo.Samples;
using Spectre.Console;
using static TorchSharp.torch;

namespace Dpo.Benchmarks;

/// <summary>What to measure: rounds of PPO on a model of this shape.</summary>
internal sealed record PpoRequest(string Shape, int Rounds, int Completions);

/// <summary>Seconds of a round, and of what it cannot do without, each by itself; and what is in use as rounds go by.</summary>
internal sealed record PpoMeasurement(
    double Round, double Sampling, double Measuring, double Passes, double Optimizer, IReadOnlyList<PpoMemory> Memory);

/// <summary>Resident bytes and live tensors after a round.</summary>
internal sealed record PpoMemory(int Round, long Bytes, long Tensors);

/// <summary><c>ppo</c>: how much of a round of PPO is generation, passes of the models and the optimizer's steps.</summary>
internal static class PpoCommand
{
    public const string Child = "ppo-child";

    private const int Tokens = 48, PromptTokens = 32;

    public static Command Create()
    {
        var command = new Command("ppo", "A round of PPO on completions of 48 tokens: its parts by themselves, and its memory.");
        var shape = ModelShapes.Option();
        var rounds = CliOption.Whole("--rounds", "Rounds; the fastest counts. [default: 4]");
        var completions = CliOption.Whole("--completions", "Completions a round. [default: 128]");
        command.Options.Add(shape);
        command.Options.Add(rounds);
        command.Options.Add(completions);
        command.SetAction(parsed => Run(new(
            parsed.GetValue(shape)!, parsed.GetValue(rounds) ?? 4, parsed.GetValue(completions) ?? 128)));
        return command;
    }

    private static void Run(PpoRequest request)
    {
        var measured = ChildProcess.Run<PpoRequest, PpoMeasurement>(Child, request);
        var parts = measured.Sampling + measured.Measuring + measured.Passes + measured.Optimizer;
        var table = Report.Table("round, s", "sampling", "old log-probabilities and values", "passes of 4 updates", "optimizer", "together");
        table.AddRow(
            $"{measured.Round:0.00}", $"{measured.Sampling:0.00}", $"{measured.Measuring:0.00}", $"{measured.Passes:0.00}",
            $"{measured.Optimizer:0.00}", $"{parts / measured.Round:P0}");
        Report.Line($"{request.Shape}, {request.Completions} completions of {Tokens} tokens, {get_num_threads()} threads.");
        Report.Show(table);
        var memory = Report.Table("after round", "resident, MB", "live tensors");
        foreach (var (round, bytes, tensors) in measured.Memory)
            memory.AddRow($"{round}", $"{bytes >> 20}", $"{tensors}");
        Report.Show(memory);
    }

    public static PpoMeasurement Measure(PpoRequest request)
    {
        using var policy = new Gpt2(ModelShapes.Config(request.Shape));
        using var pair = new PolicyReferencePair(policy);
        var random = new Random(0);
        IReadOnlyList<int>[] prompts =
            [.. Enumerable.Range(0, request.Completions).Select(_ => (int[])[.. Enumerable.Range(0, PromptTokens).Select(_ => random.Next(policy.VocabularySize))])];
        var options = new PpoOptions
        {
            Rounds = request.Rounds,
            RolloutSize = request.Completions,
            Sampling = new() { MaxNewTokens = Tokens, BatchSize = request.Completions },
        };
        var seconds = new List<double>();
        var memory = new List<PpoMemory>();
        using (var trainer = new PpoTrainer(pair, new FunctionReward(answer => answer.Ids[0] % 7), options))
            trainer.Train(prompts, new Rounds(step =>
            {
                seconds.Add(step.Elapsed.TotalSeconds);
                if (step.Step == 2 || step.Step % 10 == 0 || step.Step == request.Rounds)
                    memory.Add(new(step.Step, Environment.WorkingSet, Tensor.TotalCount));
            }));

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
        return new(seconds.Skip(1).Min(), sampling, measuring, 4 * passes, 4 * updates, memory);
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
