namespace Dpo.Baselines.Tests;

/// <summary>Short runs of PPO and of rounds of DPO, with a loss that keeps a mean of its own, for tests of their loops: a policy of 24 tokens
/// is to say token 7.</summary>
internal static class Course
{
    public static readonly int[][] Prompts = [.. Enumerable.Range(1, 10).Select(first => (int[])[first, 2, 3])];

    /// <summary>What a completion is worth: how much of it is token 7.</summary>
    public static float Worth(Answer answer) => answer.Ids.Count(id => id == 7) / 6f;

    public static Gpt2 Policy() => new(
        new() { VocabularySize = 24, MaxPositions = 16, HiddenSize = 16, LayerCount = 1, HeadCount = 2 }, seed: 5);

    public static PpoOptions Ppo(int rounds = 6) => new()
    {
        Rounds = rounds,
        RolloutSize = 16,
        MiniBatchSize = 8,
        Epochs = 2,
        LearningRate = 1e-2,
        KlTarget = 3,
        Seed = 3,
        Sampling = new() { MaxNewTokens = 6, EndOfTextIds = [0] },
        MissingEndPenalty = 0.1,
    };

    public static RoundsOptions Rounds(int rounds = 6) => new()
    {
        Rounds = rounds,
        PromptsPerRound = 6,
        Seed = 3,
        MoveReference = true,
        Sampling = new() { MaxNewTokens = 6, EndOfTextIds = [0], SamplesPerPrompt = 4 },
        Training = new TrainingOptions
        {
            Optimizer = OptimizerKind.AdamW,
            LearningRate = 1e-2,
            Schedule = LearningRateSchedules.TrlConstant(0),
            BatchSize = 16,
        },
    };

    /// <summary>Runs one of them.</summary>
    /// <param name="isPpo">Whether it is PPO.</param>
    /// <param name="folder">Where its checkpoints go, of every round; null for none. It goes on from the last that is there.</param>
    /// <param name="rounds">How many rounds.</param>
    /// <param name="progress">Is told of each.</param>
    /// <param name="reward">Another reward.</param>
    /// <param name="cancellationToken">Ends it.</param>
    /// <returns>The policy's weights, and what was reported.</returns>
    public static (float[] Weights, List<TrainingMetrics> Steps) Run(
        bool isPpo, string? folder = null, int rounds = 6, IProgress<TrainingMetrics>? progress = null, IReward? reward = null,
        CancellationToken cancellationToken = default)
    {
        using var policy = Policy();
        using var pair = new PolicyReferencePair(policy);
        var checkpoints = folder is null ? null : new CheckpointOptions { Folder = folder, Every = 1 };
        var from = folder is null ? null : Checkpoints.Latest(folder);
        var steps = new List<TrainingMetrics>();
        var told = Progress.All(new Dpo.Tests.Recorder(steps), progress ?? new Dpo.Tests.Recorder([]));
        reward ??= new FunctionReward(Worth);
        if (isPpo)
        {
            using var trainer = new PpoTrainer(pair, reward, Ppo(rounds) with { Checkpoints = checkpoints, ResumeFrom = from });
            trainer.Train(Prompts, told, cancellationToken);
        }
        else
        {
            using var trainer = new RoundsTrainer(
                pair, reward, new BetaDpoLoss(), Rounds(rounds) with { Checkpoints = checkpoints, ResumeFrom = from });
            trainer.Train(Prompts, told, cancellationToken);
        }
        return ([.. policy.parameters().SelectMany(weight => weight.detach().flatten().data<float>().ToArray())], steps);
    }
}
