namespace Dpo.Baselines;

/// <summary>What a reward model is trained to beyond telling chosen from rejected.</summary>
public sealed record RewardOptions
{
    /// <summary>The weight of (r_w + r_l)², which draws rewards to 0; 0 or more and finite, 0 for none (Eisenstein et al. 2023;
    /// TRL's
    /// <c>center_rewards_coefficient</c>).</summary>
    public double CenterCoefficient { get; init; }

    /// <summary>Whether a pair's rewards are to differ by a margin, that of its completions' scores (Touvron et al. 2023; TRL's
    /// column
    /// <c>margin</c>). Every example then needs scores.</summary>
    public bool UseMargin { get; init; }

    internal void Validate()
    {
        if (!(CenterCoefficient >= 0 && double.IsFinite(CenterCoefficient)))
            throw new ArgumentOutOfRangeException(
                nameof(CenterCoefficient), CenterCoefficient,
                "The weight of the rewards' centre must be a finite number of at least 0.");
    }
}
