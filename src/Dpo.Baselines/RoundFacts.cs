using System.Text.Json;
using System.Text.Json.Serialization;
using Dpo.Training;
using Dpo.Training.Checkpointing;
using Dpo.Weights;
using static TorchSharp.torch;

namespace Dpo.Baselines;

/// <summary>What checkpoints record of a run in rounds, beside the models and the machine: what a run that goes on from one must
/// have in common with it.</summary>
internal static class RoundFacts
{
    /// <summary>Options that are none of the result: where checkpoints lie, what they go on from, how long the run is and what it
    /// reports; and a schedule, which is known by what it gives.</summary>
    private static readonly string[] leftOut =
        ["Checkpoints", "ResumeFrom", "ResumeWithChanges", "Rounds", "DetailedMetrics", "Schedule"];

    // Numbers as JSON has them are the same in every culture.
    private static readonly JsonSerializerOptions style = new()
    {
        NumberHandling = JsonNumberHandling.AllowNamedFloatingPointLiterals,
        Converters = { new JsonStringEnumConverter() },
    };

    /// <summary>All of them but the schedule.</summary>
    /// <param name="trainer">The trainer's class.</param>
    /// <param name="reward">What scores completions: a reward model by its weights, another by its class.</param>
    /// <param name="prompts">What is sampled from.</param>
    /// <param name="pair">Whose reference it is.</param>
    /// <param name="options">The trainer's options, which hold no function.</param>
    /// <param name="rounds">How many rounds the run has.</param>
    public static IEnumerable<RunFact> Of(
        string trainer, IReward reward, RoundPrompts prompts, PolicyReferencePair pair, object options, int rounds) =>
    [
        new("the trainer", trainer, OnChange.Refuse),
        new("the reward", reward.GetType().Name, OnChange.Refuse),
        .. reward is RewardModel learned ? [new("the reward model", DigestOf(learned), OnChange.Refuse)] : (RunFact[])[],
        prompts.Fact,
        .. pair.ReferenceDigest() is { } digest ? [new("the reference", digest, OnChange.Refuse)] : (RunFact[])[],
        .. Of(JsonSerializer.SerializeToElement(options, options.GetType(), style), prefix: ""),
        new(RunFacts.StepsName, rounds, OnChange.Log),
    ];

    private static string DigestOf(RewardModel reward) =>
        TensorDigest.Of(reward.Model.named_parameters().Select(named => (named.name, (Tensor)named.parameter)));

    /// <summary>A fact for each option; those within options have dots.</summary>
    private static IEnumerable<RunFact> Of(JsonElement options, string prefix) => options.EnumerateObject()
        .Where(option => !leftOut.Contains(option.Name))
        .SelectMany(option => option.Value.ValueKind == JsonValueKind.Object
            ? Of(option.Value, $"{prefix}{option.Name}.")
            : [new RunFact(prefix + option.Name, option.Value.GetRawText(), OnChange.RefuseUnlessAllowed)]);
}
