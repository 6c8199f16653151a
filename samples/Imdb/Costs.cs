namespace Dpo.Samples;

/// <summary>About how many seconds the parts of the plan take on one core with the small model made here, and with another one in
/// proportion: what remaining time is reckoned by.</summary>
internal static class Costs
{
    // Of a thousand continuations: a step's forward and backward pass, a forward pass, and sampling. And a process's beginning.
    private const double Trained = 2.5, Run = 0.8, Sampled = 2, Begun = 4;

    // Continuations of a prefix, and reviews, where they are the IMDb's and where they are generated; nine tenths are trained on.
    private const int Samples = 4, ImdbReviews = 22500, GeneratedReviews = 3600;

    /// <summary>Of fine-tuning and preferences.</summary>
    public static double OfStart(ImdbSettings settings)
    {
        var reviews = settings.Sft.Steps * settings.Sft.BatchSize
            ?? settings.Sft.Epochs * (settings.Data is null ? GeneratedReviews : ImdbReviews);
        return Begun + Thousands(reviews, Trained) + Thousands(Samples * settings.Prefixes, Sampled) + Measured(settings);
    }

    /// <summary>Of the learned reward.</summary>
    public static double OfLearnedReward(ImdbSettings settings) =>
        Begun + Thousands(Samples * settings.Prefixes, Trained + Run);

    /// <summary>Of a run.</summary>
    public static double Of(MethodRun run, ImdbSettings settings)
    {
        var completions = Samples * settings.Prefixes;
        var rollouts = settings.Ppo.Rounds * settings.Ppo.RolloutSize;
        return Begun + run.Method switch
        {
            Method.Ppo or Method.PpoOnTrueReward =>
                Thousands(rollouts, Sampled + Run + (settings.Ppo.Epochs * Trained)) + (settings.Points * Measured(settings)),
            Method.BestOfN => Thousands(settings.BestOf * settings.HeldOutPrefixes, Sampled),
            _ => Thousands(completions, Trained + Run) + (settings.Points * Measured(settings)),
        };
    }

    private static double Measured(ImdbSettings settings) => Thousands(settings.HeldOutPrefixes, Sampled + (2 * Run));

    private static double Thousands(int continuations, double seconds) => continuations * seconds / 1000;
}
