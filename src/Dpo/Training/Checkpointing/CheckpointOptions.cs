using Dpo.Models;

namespace Dpo.Training.Checkpointing;

/// <summary>Where and when a trainer saves what a run needs to go on after an interruption.</summary>
/// <remarks>
/// <para>A checkpoint is a folder such as <c>step-000120</c>. It holds the weights, the optimizer's state, the reference where it
/// has moved (<c>TrainingOptions.MoveReferenceEvery</c>) or what an objective of yours says to be its state, the state of the
/// process's random generator and <c>state.json</c>: how far the run is, what it was asked for, and the SHA-256 of every file. It
/// appears whole or not at all: it is written under another name, flushed to the disk and renamed.</para>
/// <para>The random generators of CUDA devices are not in it, since TorchSharp gives no access to them: a module of your own that
/// draws on such a device draws otherwise after a resume. Nothing of this library does, the dropout of adapters included.</para>
/// <para>Weights lie in Hugging Face's layout, so that a checkpoint is also a model: <see cref="CausalLanguageModel.Load"/> takes
/// it, or <c>LoadAdapter</c> where only an adapter is trained. A tokenizer is not in it.</para>
/// <para>A checkpoint is written after the last step too, and where a run is cancelled.</para>
/// </remarks>
public sealed record CheckpointOptions
{
    /// <summary>The folder of the run's checkpoints; it is made where it is missing. One run at a time can write there.</summary>
    public required string Folder { get; init; }

    /// <summary>Steps from one checkpoint to the next, 1 or more; null writes none before the run ends or is cancelled.</summary>
    public int? Every { get; init; }

    /// <summary>How many checkpoints stay, the newest ones, 1 or more; the best stays besides. Older ones are deleted once a new
    /// one is on the disk.</summary>
    public int KeepLast { get; init; } = 2;

    /// <summary>By which metric a checkpoint is the best and stays (<see cref="Checkpoints.Best"/>); null for none. A step that
    /// improves it is saved, whatever <see cref="Every"/> says.</summary>
    public BestMetric? KeepBest { get; init; }

    /// <summary>Whether the model has the best checkpoint's weights when the run has ended, and not the last step's; not where it
    /// is cancelled or fails. With <see cref="KeepBest"/>.</summary>
    public bool LoadBest { get; init; }

    /// <summary>Refuses values outside their ranges.</summary>
    internal void Validate()
    {
        ArgumentException.ThrowIfNullOrEmpty(Folder);
        ArgumentOutOfRangeException.ThrowIfLessThan(Every ?? 1, 1);
        ArgumentOutOfRangeException.ThrowIfLessThan(KeepLast, 1);
        if (LoadBest && KeepBest is null)
            throw new ArgumentException(
                "LoadBest goes with KeepBest, which says by what metric a checkpoint is the best.", nameof(LoadBest));
    }
}

/// <summary>The metric of an evaluation that says which step's model is the best.</summary>
/// <param name="Name">Its name in the metrics, such as <c>eval_loss</c>, or <c>eval_helpful_rewards/accuracies</c> where the
/// held-out data are named.</param>
/// <param name="HigherIsBetter">Whether more of it is better, as of an accuracy; a loss is better where it is lower.</param>
public sealed record BestMetric(string Name, bool HigherIsBetter = false)
{
    /// <summary>Whether a value is better than the best so far; one that is no number never is.</summary>
    internal bool Improves(double value, double? best) =>
        !double.IsNaN(value) && (best is not { } old || (HigherIsBetter ? value > old : value < old));
}
