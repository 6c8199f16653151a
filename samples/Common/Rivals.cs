using Dpo.Baselines;

namespace Dpo.Samples;

/// <summary>How the methods that DPO is compared with are trained.</summary>
internal static class Rivals
{
    /// <summary>What was asked for, without the methods that need a reward where the data have no pairs to learn one
    /// from.</summary>
    public static TrainingSettings Possible(TrainingSettings settings, PreferenceData data)
    {
        string[] learned = data.Examples.Any(example => example.Pairs.Count > 0) ? []
            : [.. settings.WinRates.Compare.Where(name => name is "ppo" or "best-of-n")];
        return settings with
        {
            WinRates = settings.WinRates with
            {
                Compare = [.. settings.WinRates.Compare.Except(learned)],
                NotCompared =
                [
                    .. settings.WinRates.NotCompared,
                    .. learned.Select(name => $"Win rates of {name}: the data have no pairs to learn a reward from."),
                ],
            },
        };
    }

    /// <summary>The reward model's training: as the policy's, or larger steps for the small model made here.</summary>
    public static TrainingOptions Reward(TrainingSettings settings) => settings.Model is not null
        ? settings.Training with { MoveReferenceEvery = null }
        : settings.Training with
        {
            Optimizer = OptimizerKind.AdamW,
            LearningRate = 5e-4,
            BatchSize = 16,
            Epochs = 2,
            MaxGradNorm = 1,
            MoveReferenceEvery = null,
        };

    /// <summary>PPO: one pass over the prompts with the N+ constants, or ten rounds of larger steps for the small model made
    /// here. A trial run of a few steps has no more rounds either.</summary>
    public static PpoOptions Ppo(TrainingSettings settings, PreferenceData data)
    {
        var sampling = new SamplingOptions { MaxNewTokens = settings.NewTokens, BatchSize = 256 };
        return settings.Model is null
            ? PpoOptions.Paper with
            {
                Rounds = Rounds(10),
                RolloutSize = 256,
                MiniBatchSize = 64,
                LearningRate = 1e-4,
                KlCoefficient = 0.05,
                KlHorizon = 2000,
                MissingEndPenalty = 1,
                Sampling = sampling,
                Seed = settings.Seed,
            }
            : PpoOptions.NPlus with
            {
                Rounds = Rounds(Math.Max(1, data.Examples.Count / PpoOptions.NPlus.RolloutSize)),
                Sampling = sampling with { Temperature = PpoOptions.NPlus.Sampling.Temperature, BatchSize = 64 },
                Seed = settings.Seed,
            };

        int Rounds(int whole) => Math.Min(whole, settings.Training.Steps ?? whole);
    }

    /// <summary>The prompts of data that leave room for a completion.</summary>
    public static IReadOnlyList<IReadOnlyList<int>> Prompts(PreferenceData data, TrainingSettings settings) =>
    [
        .. data.Examples.Select(example => example.Prompt)
            .Where(prompt => prompt.Count + settings.NewTokens <= settings.MaxLength),
    ];
}
