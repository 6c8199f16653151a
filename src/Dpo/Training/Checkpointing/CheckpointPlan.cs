namespace Dpo.Training.Checkpointing;

/// <summary>What a trainer says of a run that may have checkpoints.</summary>
internal sealed record CheckpointPlan
{
    /// <summary>Where and when to save; null for never.</summary>
    public required CheckpointOptions? Options { get; init; }

    /// <summary>The checkpoint to go on from; null begins anew.</summary>
    public required string? ResumeFrom { get; init; }

    /// <summary>Whether the run may go on under other options than its checkpoint was written under.</summary>
    public required bool AllowsChanges { get; init; }

    /// <summary>Steps of the whole run.</summary>
    public required int TotalSteps { get; init; }

    /// <summary>What the run was asked for and depends on, besides model, optimizer and machine. Asked once, and only where there
    /// is a checkpoint to write or to go on from: digests of data take their time.</summary>
    public required Func<IEnumerable<RunFact>> Facts { get; init; }
}
