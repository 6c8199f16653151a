namespace Dpo.Losses;

/// <summary>Losses by name, as a command line or a file of settings gives them. The names are TRL's where TRL has the
/// loss.</summary>
public sealed record LossOptions
{
    private static readonly Dictionary<string, Func<LossOptions, IPreferenceLoss>> Known = new(StringComparer.Ordinal)
    {
        ["sigmoid"] = options => new DpoLoss(options.UsualBeta, options.UsualSmoothing, divergence: options.Divergence),
        ["hinge"] = options => new HingeLoss(options.UsualBeta, options.Divergence),
        ["ipo"] = options => new IpoLoss(options.UsualBeta, options.Divergence),
        ["ipo_sum"] = options => new IpoSumLoss(options.UsualBeta),
        ["exo_pair"] = options => new ExoPairLoss(options.UsualBeta, options.LabelSmoothing ?? 1e-3, options.Divergence),
        ["nca_pair"] = options => new NcaPairLoss(options.UsualBeta, options.Divergence),
        ["robust"] = options => new RobustLoss(options.UsualBeta, options.LabelSmoothing ?? 0.1, options.Divergence),
        ["bco_pair"] = options => new BcoPairLoss(options.UsualBeta, options.Divergence),
        ["sppo_hard"] = options => new SppoHardLoss(options.UsualBeta, options.Divergence),
        ["aot"] = options => new AotLoss(options.UsualBeta, options.UsualSmoothing),
        ["aot_unpaired"] = options => new AotUnpairedLoss(options.UsualBeta, options.UsualSmoothing),
        ["apo_zero"] = options => new ApoZeroLoss(options.UsualBeta),
        ["apo_down"] = options => new ApoDownLoss(options.UsualBeta, options.Divergence),
        ["discopop"] = options => new DiscoPopLoss(options.UsualBeta, options.DiscoPopTemperature, options.Divergence),
        ["sigmoid_norm"] = options => new SigmoidNormLoss(options.UsualBeta, options.Divergence),
        ["sft"] = _ => new SftLoss(),
        ["simpo"] = options => new SimPoLoss(options.Beta ?? 2, options.SimPoGamma),
        ["orpo"] = options => new OrpoLoss(options.UsualBeta),
        ["kto"] = options => new KtoLoss(options.UsualBeta, options.DesirableWeight, options.UndesirableWeight),
        ["rpo_sq"] = options => new RpoLoss(options.UsualBeta, options.ScoreScale, RpoDistance.Squared),
        ["rpo_bwd_kl"] = options => new RpoLoss(options.UsualBeta, options.ScoreScale, RpoDistance.BackwardKl),
        ["rpo_fwd_kl"] = options => new RpoLoss(options.UsualBeta, options.ScoreScale, RpoDistance.ForwardKl),
        ["plackett_luce"] = options => new PlackettLuceLoss(options.UsualBeta),
        ["unlikelihood"] = options => new UnlikelihoodLoss(options.UnlikelihoodAlpha),
    };

    private static readonly string[] Smoothed = ["sigmoid", "exo_pair", "robust", "aot", "aot_unpaired"];

    private static readonly string[] OfScores =
    [
        "sigmoid", "hinge", "ipo", "exo_pair", "nca_pair", "robust", "bco_pair", "sppo_hard", "apo_down", "discopop",
        "sigmoid_norm"
    ];

    /// <summary>All names.</summary>
    public static IReadOnlyCollection<string> AllNames => Known.Keys;

    /// <summary>The losses' names; several are added up (<see cref="CombinedLoss"/>).</summary>
    public IReadOnlyList<string> Names { get; init; } = ["sigmoid"];

    /// <summary>A weight for each name; 1 by default.</summary>
    public IReadOnlyList<double>? Weights { get; init; }

    /// <summary>β &gt; 0, of all of the losses; null for each loss's own default: 2 for <c>simpo</c>, 0.1 for all
    /// others.</summary>
    public double? Beta { get; init; }

    /// <summary>ε in [0, ½) of <c>sigmoid</c> (conservative DPO), <c>exo_pair</c> (there above 0), <c>robust</c>, <c>aot</c> and
    /// <c>aot_unpaired</c>; others take none but 0. Null for each loss's own default: 0.1 for <c>robust</c> (TRL's is 0, which
    /// makes it <c>sigmoid</c>), 1e-3 for <c>exo_pair</c>, 0 for all others.</summary>
    public double? LabelSmoothing { get; init; }

    /// <summary>The divergence of losses that are functions of the score s = f(r); null is reverse KL.</summary>
    public FDivergence? Divergence { get; init; }

    /// <summary>LD-DPO's α in [0, 1] (<see cref="LengthDesensitizedLoss"/>), for all losses of pairs; null for none.</summary>
    public double? LdAlpha { get; init; }

    /// <summary>Whether losses of pairs are weighted by the policy's own likelihood (<see cref="WpoLoss"/>).</summary>
    public bool UseWeighting { get; init; }

    /// <summary>τ of <c>discopop</c>.</summary>
    public double DiscoPopTemperature { get; init; } = 0.05;

    /// <summary>γ of <c>simpo</c>.</summary>
    public double SimPoGamma { get; init; } = 0.5;

    /// <summary>λ_d of <c>kto</c>.</summary>
    public double DesirableWeight { get; init; } = 1;

    /// <summary>λ_u of <c>kto</c>.</summary>
    public double UndesirableWeight { get; init; } = 1;

    /// <summary>What gaps of scores are multiplied by in <c>rpo_…</c>.</summary>
    public double ScoreScale { get; init; } = 1;

    /// <summary>α of <c>unlikelihood</c>.</summary>
    public double UnlikelihoodAlpha { get; init; } = 0.5;

    private double UsualBeta => Beta ?? 0.1;

    private double UsualSmoothing => LabelSmoothing ?? 0;

    /// <summary>Builds the loss.</summary>
    /// <exception cref="InvalidInputException">A name is unknown, a value is outside its range, or an option does not go with the
    /// loss; the message says why.</exception>
    public IPreferenceLoss Create()
    {
        if (Names.Count == 0 || (Weights is not null && Weights.Count != Names.Count))
            throw new InvalidInputException(
                $"There are {Names.Count} losses and {Weights?.Count ?? 0} weights; " +
                "name at least one loss, and give one weight for each or none.");
        var losses = Names.Select(Create).ToArray();
        var weights = Weights ?? [.. losses.Select(_ => 1.0)];
        return losses.Length == 1 && weights[0] == 1
            ? losses[0]
            : Checked(() => new CombinedLoss([.. losses.Zip(weights)]));
    }

    private IPreferenceLoss Create(string name)
    {
        if (!Known.TryGetValue(name, out var create))
            throw new InvalidInputException($"The loss '{name}' is not known; the losses are {string.Join(", ", Known.Keys)}.");
        if (LabelSmoothing is not (null or 0) && name != "sft" && !Smoothed.Contains(name))
            throw new InvalidInputException(
                $"The loss '{name}' has no label smoothing; leave it out, or take one of {string.Join(", ", Smoothed)}.");
        if (Divergence is { Name: not "reverse_kl" } divergence && name != "sft" && !OfScores.Contains(name))
            throw new InvalidInputException(
                $"The loss '{name}' is no function of scores, so it takes no divergence ({divergence.Name}); " +
                $"leave it out, or take one of {string.Join(", ", OfScores)}.");
        return Checked(() =>
        {
            var loss = create(this);
            // As in TRL, the sft term beside other losses stays as it is.
            if (loss is SftLoss || (LdAlpha is null && !UseWeighting))
                return loss;
            if (loss is not IPairLoss pairs)
                throw new ArgumentException(
                    $"'{name}' is no loss of pairs, so length desensitization and WPO's weights do not apply to it; " +
                    "leave them out.");
            if (LdAlpha is { } alpha)
                pairs = new LengthDesensitizedLoss(pairs, alpha);
            return UseWeighting ? new WpoLoss(pairs) : pairs;
        });
    }

    private static IPreferenceLoss Checked(Func<IPreferenceLoss> create)
    {
        try
        {
            return create();
        }
        catch (ArgumentException e)
        {
            // What .NET adds, the parameter's name and value, is not for the person who set the option.
            throw new InvalidInputException(e.Message.Split(" (Parameter")[0], e);
        }
    }
}
