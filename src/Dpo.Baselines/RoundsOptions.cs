using Dpo.Generation;
using Dpo.Training;
using Dpo.Training.Checkpointing;

namespace Dpo.Baselines;

/// <summary>How rounds of sampling and training on preferences go. Many small rounds, of a batch each, are online DPO (Guo et al.
/// 2024), a few large ones iterative DPO (Xu et al. 2024; Yuan et al. 2024).</summary>
public sealed record RoundsOptions
{
    /// <summary>Rounds, 1 or more.</summary>
    public int Rounds { get; init; } = 3;

    /// <summary>Prompts that a round takes, 1 or more.</summary>
    public int PromptsPerRound { get; init; } = 64;

    /// <summary>How completions are sampled, 4 of each prompt by default; the seed is the round's.</summary>
    public SamplingOptions Sampling { get; init; } = new() { SamplesPerPrompt = 4 };

    /// <summary>How a round trains on its preferences: a run of its own, but that the optimizer goes on. Its schedule counts the
    /// round's steps, and is constant by default; the seed is the round's; checkpoints, resuming, evaluations and the reference's
    /// moves are the rounds' matter.</summary>
    public TrainingOptions Training { get; init; } = new();

    /// <summary>Whether the reference becomes the policy at the end of every round; else it stays where it was.</summary>
    public bool MoveReference { get; init; }

    /// <summary>Seeds the order of prompts, the draws and the order of preferences.</summary>
    public int Seed { get; init; }

    /// <summary>Where and when rounds are saved: a step is a round there.</summary>
    public CheckpointOptions? Checkpoints { get; init; }

    /// <summary>The checkpoint to go on from, as for <see cref="TrainingOptions.ResumeFrom"/>.</summary>
    public string? ResumeFrom { get; init; }

    /// <summary>Whether a run may go on with other options than its checkpoint was written under, as for
    /// <see cref="TrainingOptions.ResumeWithChanges"/>.</summary>
    public bool ResumeWithChanges { get; init; }

    internal void Validate()
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(Rounds, 1);
        ArgumentOutOfRangeException.ThrowIfLessThan(PromptsPerRound, 1);
        Sampling.Validate();
        Training.Validate();
        if (Training is not
            { Checkpoints: null, ResumeFrom: null, EvaluateEvery: null, StopWhen: null, MoveReferenceEvery: null })
            throw new ArgumentException(
                "Rounds are saved, resumed and followed by a moved reference as a whole: set Checkpoints, ResumeFrom and " +
                "MoveReference of the rounds' options, and leave them, evaluations and StopWhen out of Training.",
                nameof(Training));
        Checkpoints?.Validate();
    }
}
