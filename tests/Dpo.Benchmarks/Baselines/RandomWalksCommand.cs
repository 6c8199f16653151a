using System.CommandLine;
using System.Diagnostics;
using System.Text.Json;
using Dpo.Baselines;
using Dpo.Samples;
using Spectre.Console;

namespace Dpo.Benchmarks;

/// <summary>What to measure: all methods under one seed.</summary>
internal sealed record RandomWalksRequest(int Seed);

/// <summary>What a method's paths are worth on average, 1 at best, and the seconds it took after fine-tuning.</summary>
internal sealed record RandomWalksRow(string Method, double Optimality, double Seconds);

/// <summary><c>randomwalks</c>: PPO, best-of-N, DPO and rounds of DPO on a task whose optimum is known.</summary>
internal static class RandomWalksCommand
{
    public const string Child = "randomwalks-child";

    private const double Beta = 0.1;
    private const int SamplesPerStart = 64;

    private static readonly SamplingOptions sampling = new()
    {
        MaxNewTokens = RandomWalkTask.Length - 1,
        EndOfTextIds = [RandomWalkTask.Goal],
        BatchSize = 256,
    };

    public static Command Create()
    {
        var command = new Command("randomwalks", "trlx's task of shortest paths: what PPO, best-of-N, DPO and rounds of DPO reach, of 1.");
        var seeds = CliOption.Whole("--seeds", "Seeds, from 0 on. [default: 3]");
        var json = CliOption.Path("--json", "FILE", "Also write the figures as JSON.");
        command.Options.Add(seeds);
        command.Options.Add(json);
        command.SetAction(parsed => Run(parsed.GetValue(seeds) ?? 3, parsed.GetValue(json)));
        return command;
    }

    private static void Run(int seeds, string? json)
    {
        var all = Enumerable.Range(0, seeds).Select(seed =>
        {
            var rows = ChildProcess.Run<RandomWalksRequest, RandomWalksRow[]>(Child, new(seed));
            Console.Error.WriteLine($"Seed {seed}: {string.Join(", ", rows.Select(row => $"{row.Method} {row.Optimality:0.000}"))}.");
            return rows;
        }).ToArray();
        var table = Report.Table(["method", .. all.Select((_, seed) => $"seed {seed}"), "seconds"]);
        for (var row = 0; row < all[0].Length; row++)
            table.AddRow([
                all[0][row].Method, .. all.Select(rows => $"{rows[row].Optimality:0.000}"), $"{all.Max(rows => rows[row].Seconds):0}",
            ]);
        Report.Show(table);
        if (json is not null)
            File.WriteAllText(json, JsonSerializer.Serialize(new { seeds = all }) + "\n");
    }

    public static RandomWalksRow[] Measure(RandomWalksRequest request)
    {
        var task = new RandomWalkTask(request.Seed);
        var reward = new FunctionReward(task.Optimality);
        using var start = new TemporaryModel(FineTune(task, request.Seed));
        var rows = new List<RandomWalksRow>();
        using (var model = start.Load())
        {
            rows.Add(new("fine-tuned on walks", Evaluate(model, reward), 0));
            var clock = Stopwatch.StartNew();
            var best = BestOfN.Sample(model, RandomWalkTask.Starts, reward, sampling with { SamplesPerPrompt = 128, Seed = 1 });
            foreach (var n in (int[])[4, 16, 64])
                rows.Add(new(
                    $"best of {n}", best.Average(of => BestOfN.Expected([.. of.Select(scored => (double)scored.Score)], n)),
                    clock.Elapsed.TotalSeconds));
        }
        Add("DPO", pair => Dpo(pair, reward, request.Seed));
        Add("rounds of DPO", pair => Rounds(pair, reward, request.Seed));
        Add("PPO", pair => Ppo(pair, reward, request.Seed));
        return [.. rows];

        void Add(string method, Action<PolicyReferencePair> train)
        {
            var clock = Stopwatch.StartNew();
            using var pair = new PolicyReferencePair(start.Load());
            train(pair);
            rows.Add(new(method, Evaluate(pair.Policy, reward), clock.Elapsed.TotalSeconds));
        }
    }

    private static Gpt2 FineTune(RandomWalkTask task, int seed)
    {
        var model = new Gpt2(
            new() { VocabularySize = RandomWalkTask.Nodes, MaxPositions = 12, HiddenSize = 64, LayerCount = 3, HeadCount = 4 }, seed);
        using var data = new PreferenceData(task.Walks.Where(walk => walk.Length > 1).Select(walk => new TokenizedExample([walk[0]], [walk[1..]], [])));
        using var trainer = new SftTrainer(model, new TrainingOptions
        {
            Optimizer = OptimizerKind.AdamW,
            LearningRate = 2e-3,
            Schedule = LearningRateSchedules.Linear(20),
            BatchSize = 100,
            Epochs = 30,
            Seed = seed,
        });
        trainer.Train(data);
        return model;
    }

    private static void Dpo(PolicyReferencePair pair, IReward reward, int seed)
    {
        var samples = BestOfN.Sample(pair.Policy, RandomWalkTask.Starts, reward, sampling with { SamplesPerPrompt = 256, Seed = seed });
        using var data = new PreferenceData(samples.SelectMany((of, prompt) => of.Chunk(4).Select(four => PairMaking.AllPairs(new(
            prompt, RandomWalkTask.Starts[prompt], [.. four.Select(scored => scored.Completion.Tokens)],
            [.. four.Select(scored => scored.Score)])))).OfType<TokenizedExample>());
        using var trainer = new DpoTrainer(pair, new DpoLoss(Beta), Training with { Epochs = 10, Seed = seed });
        trainer.Train(data);
    }

    private static void Rounds(PolicyReferencePair pair, IReward reward, int seed)
    {
        using var trainer = new RoundsTrainer(pair, reward, new DpoLoss(Beta), new RoundsOptions
        {
            Rounds = 40,
            PromptsPerRound = 40,
            Sampling = sampling with { SamplesPerPrompt = 8 },
            Training = Training,
            Seed = seed,
        });
        trainer.Train(RandomWalkTask.Starts);
    }

    private static void Ppo(PolicyReferencePair pair, IReward reward, int seed)
    {
        using var trainer = new PpoTrainer(pair, reward, new PpoOptions
        {
            Rounds = 100,
            RolloutSize = 320,
            MiniBatchSize = 80,
            Sampling = sampling,
            LearningRate = 1e-3,
            Schedule = LearningRateSchedules.Linear(0),
            KlCoefficient = 0.01,
            ValueCoefficient = 0.5,
            Seed = seed,
        });
        trainer.Train(RandomWalkTask.Starts);
    }

    private static TrainingOptions Training => new()
    {
        Optimizer = OptimizerKind.AdamW,
        LearningRate = 1e-3,
        Schedule = LearningRateSchedules.TrlConstant(0),
        BatchSize = 256,
        WarnOfChosenFall = double.PositiveInfinity,
    };

    /// <summary>What sampled paths are worth from every node.</summary>
    private static double Evaluate(CausalLanguageModel model, IReward reward) => BestOfN
        .Sample(model, RandomWalkTask.Starts, reward, sampling with { SamplesPerPrompt = SamplesPerStart, Seed = 1234 })
        .Average(of => of.Average(scored => scored.Score));

    /// <summary>The fine-tuned model in a folder, from which every method begins.</summary>
    private sealed class TemporaryModel : IDisposable
    {
        private readonly string folder = Directory.CreateTempSubdirectory("dpo-randomwalks-").FullName;

        public TemporaryModel(Gpt2 model)
        {
            using (model)
                model.Save(folder);
        }

        public TransformerModel Load() => CausalLanguageModel.Load(folder);

        public void Dispose() => Directory.Delete(folder, recursive: true);
    }
}
