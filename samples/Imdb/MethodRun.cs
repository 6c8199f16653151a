using System.Globalization;

namespace Dpo.Samples;

/// <summary>What a run trains by.</summary>
internal enum Method
{
    Dpo,
    Ppo,
    PpoOnTrueReward,
    Unlikelihood,
    PreferredFineTuning,
    BestOfN,
}

/// <summary>A run of Figure 2 (left): a method, and the number that says how far it may go from the reference.</summary>
/// <param name="Name">What it is called, such as <c>dpo-beta-0.1</c>: its folder, and what <c>--runs</c> takes.</param>
/// <param name="Method">What it trains by.</param>
/// <param name="Number">β, the target KL in nats, α, or the number of the order in which data come.</param>
internal sealed record MethodRun(string Name, Method Method, double Number)
{
    private static readonly (string Prefix, Method Method)[] forms =
    [
        ("dpo-beta-", Method.Dpo), ("ppo-kl-", Method.Ppo), ("ppo-gt-kl-", Method.PpoOnTrueReward),
        ("unlikelihood-alpha-", Method.Unlikelihood), ("preferred-ft-", Method.PreferredFineTuning),
    ];

    private const string BestOfNName = "best-of-n";

    /// <summary>What <c>--runs</c> takes, for people.</summary>
    public static string Forms { get; } =
        "dpo-beta-X, ppo-kl-X, ppo-gt-kl-X (PPO on the true reward), unlikelihood-alpha-X, preferred-ft-N, best-of-n";

    /// <summary>Those that run where nothing else is asked for, in less than five minutes on two cores: one of each method but
    /// PPO-GT, and DPO at two β.</summary>
    public static IReadOnlyList<string> Few { get; } =
        ["dpo-beta-0.1", "dpo-beta-1", "ppo-kl-6", "unlikelihood-alpha-0.1", "preferred-ft-1", BestOfNName];

    /// <summary>The paper's numbers (section 6.1): 22 runs, of which it counts those of Preferred-FT by random seeds.</summary>
    public static IReadOnlyList<string> All { get; } =
    [
        "dpo-beta-0.05", "dpo-beta-0.1", "dpo-beta-1", "dpo-beta-5",
        "ppo-kl-3", "ppo-kl-6", "ppo-kl-9", "ppo-kl-12",
        "ppo-gt-kl-3", "ppo-gt-kl-6", "ppo-gt-kl-9", "ppo-gt-kl-12",
        "unlikelihood-alpha-0.05", "unlikelihood-alpha-0.1", "unlikelihood-alpha-0.5", "unlikelihood-alpha-1",
        "preferred-ft-1", "preferred-ft-2", "preferred-ft-3", "preferred-ft-4", "preferred-ft-5",
        BestOfNName,
    ];

    /// <summary>The method's name in figures and tables.</summary>
    public string MethodName => NameOf(Method);

    /// <summary>Whether it takes a reward that was learned from the preferences.</summary>
    public bool NeedsLearnedReward => Method is Method.Ppo or Method.BestOfN;

    /// <summary>A method's name in figures and tables.</summary>
    public static string NameOf(Method method) => method switch
    {
        Method.Dpo => "DPO",
        Method.Ppo => "PPO",
        Method.PpoOnTrueReward => "PPO-GT",
        Method.Unlikelihood => "unlikelihood",
        Method.PreferredFineTuning => "Preferred-FT",
        _ => "best of N",
    };

    /// <summary>The run of a name.</summary>
    /// <exception cref="InvalidInputException">There is none.</exception>
    public static MethodRun Parse(string name)
    {
        if (name == BestOfNName)
            return new(name, Method.BestOfN, 0);
        foreach (var (prefix, method) in forms)
        {
            if (name.StartsWith(prefix, StringComparison.Ordinal)
                && double.TryParse(name[prefix.Length..], NumberStyles.Float, CultureInfo.InvariantCulture, out var number)
                && IsInRange(method, number))
                return new(FormattableString.Invariant($"{prefix}{number}"), method, number);
        }
        throw new InvalidInputException(
            $"--runs {name}: there is no such run; give names with commas between them, of {Forms}, where X is a number above " +
            "0 (of unlikelihood's α at most 1) and N a whole one.");
    }

    private static bool IsInRange(Method method, double number) => number > 0 && method switch
    {
        Method.Unlikelihood => number <= 1,
        Method.PreferredFineTuning => number == Math.Floor(number) && number < 1e6,
        _ => double.IsFinite(number),
    };
}
