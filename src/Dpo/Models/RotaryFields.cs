using Dpo.Models.Layers;

namespace Dpo.Models;

/// <summary>Reads what a <c>config.json</c> says of rotary embeddings.</summary>
public static class RotaryFields
{
    /// <summary>
    /// Reads <c>rope_parameters</c> (transformers 5), or the older <c>rope_theta</c> and <c>rope_scaling</c>, and refuses the
    /// types that are not implemented.
    /// </summary>
    /// <param name="config">The model's configuration.</param>
    /// <param name="theta">The older field of θ.</param>
    /// <exception cref="InvalidInputException">A field is missing, or asks for what Dpo does not implement.</exception>
    public static RotaryParameters Parameters(ModelConfig config, string theta = "rope_theta")
    {
        if (config.Has("rope_parameters") && config.Has("rope_scaling"))
            throw config.Wrong("rope_scaling", "`rope_parameters` is there too, so that one of them must go");
        var group = config.Has("rope_parameters") ? "rope_parameters" : "rope_scaling";
        var type = config.Has($"{group}.type") ? $"{group}.type" : $"{group}.rope_type";
        var plain = new RotaryParameters(config.Has($"{group}.rope_theta")
            ? config.Double($"{group}.rope_theta", minimum: 1)
            : config.Double(theta, 10000, minimum: 1));
        return config.OneOf(type, config.Has(group) ? null : "default", "default", "linear", "llama3") switch
        {
            "linear" => new LinearRotaryParameters(plain.Theta, Factor()),
            "llama3" => new Llama3RotaryParameters(
                plain.Theta, Factor(), LowTurns(), HighTurns(), config.Int($"{group}.original_max_position_embeddings")),
            _ => plain,
        };

        double Factor() => config.Double($"{group}.factor", minimum: 1);
        double LowTurns() => config.Double($"{group}.low_freq_factor");
        double HighTurns() => config.Double($"{group}.high_freq_factor") is var turns && turns > LowTurns()
            ? turns
            : throw config.Wrong($"{group}.high_freq_factor", $"it must be above low_freq_factor, {LowTurns()}");
    }

    /// <summary>How many of a head's entries are turned: the share that <c>partial_rotary_factor</c> says.</summary>
    /// <param name="config">The model's configuration.</param>
    /// <param name="headSize">Entries of a head.</param>
    /// <param name="share">The older field of the share, outside <c>rope_parameters</c>.</param>
    /// <param name="fallback">The share where no field says it.</param>
    /// <exception cref="InvalidInputException">The share leaves no even number.</exception>
    public static int Size(ModelConfig config, int headSize, string share = "partial_rotary_factor", double fallback = 1)
    {
        var field = config.Has("rope_parameters.partial_rotary_factor") ? "rope_parameters.partial_rotary_factor" : share;
        var size = (int)(headSize * config.Double(field, fallback));
        return size >= 2 && size <= headSize && size % 2 == 0
            ? size
            : throw config.Wrong(
                field, $"of {headSize} entries of a head it must leave an even number to be turned, from 2 to {headSize}");
    }
}
