using Dpo.Batching;
using Dpo.Files;
using Dpo.Weights;

namespace Dpo.Training.Reference;

/// <summary>All that reference log-probabilities follow from, as texts: values whose keys are equal are equal.</summary>
/// <remarks>Pairs are not part of it: whatever is preferred to what, the values are the same.</remarks>
/// <param name="Weights">SHA-256 of the name, type, shape and bytes of every parameter and buffer of the reference.</param>
/// <param name="Config">SHA-256 of the fields of its <c>config.json</c>, since equal weights compute something else with another
/// number of heads, and of what its adapter is multiplied by; of the type's name where a model has no configuration.</param>
/// <param name="Tokens">SHA-256 of the ids of every prompt and completion, in order.</param>
/// <param name="Precision">The precision of the matrix products.</param>
internal sealed record ReferenceLogProbsKey(string Weights, string Config, string Tokens, string Precision)
{
    public static ReferenceLogProbsKey Of(PolicyReferencePair pair, PreferenceData data)
    {
        var described = pair.ReferenceModel.Description;
        var config = described?.Configuration ?? pair.ReferenceModel.GetType().FullName!;
        if (described?.Adapter is { } adapter)
            config = $"{config}\nlora scale: {adapter.Scale}";
        return new(
            TensorDigest.Of(pair.ReferenceState()),
            Digest.Of(config),
            data.Source.Digest.Tokens,
            (described?.Precision ?? Models.Precision.Float32).ToString());
    }

    /// <summary>What <paramref name="other"/> has otherwise, in words that follow "computed with"; empty where nothing.</summary>
    public IEnumerable<string> DifferencesOf(ReferenceLogProbsKey other)
    {
        if (other.Weights != Weights)
            yield return "other weights";
        if (other.Config != Config)
            yield return "another model configuration";
        if (other.Tokens != Tokens)
            yield return "other tokens, or the same in another order";
        if (other.Precision != Precision)
            yield return $"the precision {other.Precision} instead of {Precision}";
    }
}
