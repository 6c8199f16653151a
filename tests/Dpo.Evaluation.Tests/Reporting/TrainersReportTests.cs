using Dpo.Baselines;
using Dpo.Evaluation.Reporting;
using Dpo.Tests;

namespace Dpo.Evaluation.Tests.Reporting;

/// <summary>The report knows what the trainers call their metrics.</summary>
public sealed class TrainersReportTests : IDisposable
{
    private readonly TemporaryFolder folder = new();
    private readonly Gpt2 policy =
        new(new() { VocabularySize = 12, MaxPositions = 16, HiddenSize = 16, LayerCount = 1, HeadCount = 2 }, seed: 1);

    private readonly PolicyReferencePair pair;

    public TrainersReportTests() => pair = new PolicyReferencePair(policy);

    public void Dispose()
    {
        pair.Dispose();
        policy.Dispose();
        folder.Dispose();
    }

    [Fact]
    public void Courses_of_ppo_are_drawn()
    {
        var options = new PpoOptions { Rounds = 2, RolloutSize = 4, Sampling = new() { MaxNewTokens = 4 }, DetailedMetrics = true };
        using (var ppo = new PpoTrainer(pair, new FunctionReward(answer => answer.Ids.Sum()), options))
            Train("ppo", progress => ppo.Train([[1, 2], [3]], progress));
        Assert.Equal(
            [
                "clip-fraction: ppo: clip_fraction, ppo: value_clip_fraction", "entropy: ppo", "gradient-norm: ppo", "kl: ppo", "lengths: ppo",
                "loss: ppo: loss", "scores: ppo", "value-loss: ppo",
            ],
            Drawn());
        Assert.Equal(["ppo,1", "ppo,2"], File.ReadAllLines(Path.Combine(folder.Path, "report-figures", "entropy.csv"))[1..].Select(Step));
    }

    [Fact]
    public void Courses_of_rounds_of_dpo_are_drawn()
    {
        var options = new RoundsOptions { Rounds = 2, PromptsPerRound = 2, Sampling = new() { MaxNewTokens = 4, SamplesPerPrompt = 2 } };
        using (var rounds = new RoundsTrainer(pair, new FunctionReward(answer => answer.Ids.Sum()), options: options))
            Train("rounds", progress => rounds.Train([[1, 2], [3]], progress));
        Assert.Equal(
            [
                "accuracies: rounds: rewards/accuracies", "gradient-norm: rounds", "implicit-rewards: rounds: rewards/chosen, rounds: rewards/rejected",
                "lengths: rounds", "log-probabilities: rounds: logps/chosen, rounds: logps/rejected", "loss: rounds: loss",
                "margins: rounds: rewards/margins", "scores: rounds",
            ],
            Drawn());
    }

    [Fact]
    public void A_reward_model_has_margins_and_accuracies()
    {
        using var data = Data();
        using var reward = new RewardModel(policy.WithScalarHead(seed: 1));
        using (var trainer = new RewardTrainer(reward, options: new TrainingOptions { Steps = 1, BatchSize = 2 }))
            Train("reward", progress => trainer.Train(data, data, progress));
        Assert.Equal(
            [
                "accuracies: reward: accuracy, reward: eval_accuracy", "gradient-norm: reward", "loss: reward: loss, reward: eval_loss",
                "margins: reward: margin, reward: eval_margin",
            ],
            Drawn());
    }

    [Fact]
    public void Named_held_out_sets_have_courses()
    {
        using var data = Data();
        var heldOut = new Dictionary<string, PreferenceData> { ["helpful"] = data, ["harmless_base"] = data };
        using (var trainer = new DpoTrainer(pair, options: new TrainingOptions { Steps = 1, BatchSize = 2, DetailedMetrics = true }))
            Train("dpo", progress => trainer.Train(data, heldOut, progress));
        var drawn = Drawn();
        foreach (var (figure, metric) in ((string, string)[])
            [("loss", "loss"), ("margins", "rewards/margins"), ("accuracies", "rewards/accuracies")])
            Assert.Contains($"{figure}: dpo: {metric}, dpo: eval_harmless_base_{metric}, dpo: eval_helpful_{metric}", drawn);
    }

    private static PreferenceData Data() => new(
        [new([1, 2], [[3, 4, 0], [5, 0]], [new PreferencePair(0, 1)]), new([2], [[6, 0], [7, 8, 0]], [new PreferencePair(0, 1)])]);

    private void Train(string stage, Action<IProgress<TrainingMetrics>> train)
    {
        using var metrics = new MetricsFile(folder.File(stage));
        train(metrics);
    }

    /// <summary>Each figure of the report with its series.</summary>
    private string[] Drawn()
    {
        RunReport.Write([folder.Path], folder.Path);
        return
        [
            .. Directory.GetFiles(folder.File("report-figures"), "*.csv").Order(StringComparer.Ordinal).Select(file =>
                $"{Path.GetFileNameWithoutExtension(file)}: " +
                string.Join(", ", File.ReadAllLines(file)[1..].Select(line => line.Split(',')[0]).Distinct())),
        ];
    }

    private static string Step(string line) => line[..line.LastIndexOf(',')];
}
