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
        ["sft_norm"] = _ => new SftLoss(perCompletion: true),
        ["simpo"] = options => new SimPoLoss(options.Beta ?? 2, options.SimPoGamma),
        ["orpo"] = options => new OrpoLoss(options.UsualBeta),
        ["kto"] = options => new KtoLoss(options.UsualBeta, options.DesirableWeight, options.UndesirableWeight),
        ["rpo_sq"] = options => new RpoLoss(options.UsualBeta, options.ScoreScale, RpoDistance.Squared),
        ["rpo_bwd_kl"] = options => new RpoLoss(options.UsualBeta, options.ScoreScale, RpoDistance.BackwardKl),
        ["rpo_fwd_kl"] = options => new RpoLoss(options.UsualBeta, options.ScoreScale, RpoDistance.ForwardKl),
        ["plackett_luce"] = options => new PlackettLuceLoss(options.UsualBeta),
        ["unlikelihood"] = options => new UnlikelihoodLoss(options.UnlikelihoodAlpha),
        ["cpo"] = options => new CpoLoss(options.UsualBeta, options.UsualSmoothing),
        ["cpo_hinge"] = options => new CpoLoss(options.UsualBeta, form: CpoForm.Hinge),
        ["cpo_ipo"] = options => new CpoLoss(options.UsualBeta, form: CpoForm.Ipo),
        ["alphapo"] = options => new AlphaPoLoss(options.Beta ?? 2.5, options.AlphaPoGamma, options.AlphaPoAlpha),
        ["dpop"] = options => new DpopLoss(options.UsualBeta, options.DpopLambda),
        ["r_dpo"] = options => new RDpoLoss(options.UsualBeta, options.RDpoAlpha),
        ["odpo"] = options => new OdpoLoss(options.UsualBeta, options.OdpoAlpha),
        ["odpo_ratio"] = options => new OdpoLoss(options.UsualBeta, options.OdpoAlpha, ofRatio: true),
        ["cal_dpo"] = options => new CalDpoLoss(options.UsualBeta, options.CalDpoWeight),
        ["chi_po"] = options => new ChiPoLoss(options.UsualBeta, options.ChiPoRewardBound),
        ["beta_dpo"] = options => new BetaDpoLoss(options.UsualBeta, options.BetaDpoSensitivity, options.BetaDpoFilteredShare),
        ["sampo"] = options => new SamPoLoss(options.UsualBeta, options.SamPoSeed),
        ["tdpo1"] = options => new Tdpo1Loss(options.UsualBeta),
        ["tdpo2"] = options => new Tdpo2Loss(options.UsualBeta, options.TdpoAlpha),
        ["dpo_shift"] = options => new DpoShiftLoss(options.UsualBeta, options.DpoShift, options.DpoShiftLast),
    };

    /// <summary>Losses that are others with numbers of their own.</summary>
    private static readonly Dictionary<string, LossOptions> Presets = new(StringComparer.Ordinal)
    {
        ["iterative_rpo"] = new() { Names = ["sigmoid", "sft"], Weights = [1, 1] },
        ["rpo"] = new() { Names = ["sigmoid", "sft"], Weights = [1, 0.005], Beta = 0.01 },
        ["mpo"] = new() { Names = ["sigmoid", "bco_pair", "sft"], Weights = [0.8, 0.2, 1] },
        ["dpo_norm"] = new() { Names = ["sigmoid_norm"], Weights = [1], Beta = 5 },
    };

    private static readonly string[] Smoothed = ["sigmoid", "exo_pair", "robust", "aot", "aot_unpaired", "cpo"];

    private static readonly string[] OfChosen = ["sft", "sft_norm"];

    private static readonly string[] OfScores =
    [
        "sigmoid", "hinge", "ipo", "exo_pair", "nca_pair", "robust", "bco_pair", "sppo_hard", "apo_down", "discopop",
        "sigmoid_norm"
    ];

    /// <summary>All names; the last ones are of presets, losses that are others with numbers of their own:
    /// <c>iterative_rpo</c> (<c>sigmoid</c> and <c>sft</c>; Pang et al. 2024, as TRL has it), <c>rpo</c> (the same with 0.005 of
    /// <c>sft</c> and β 0.01; Liu et al. 2024), <c>mpo</c> (0.8 <c>sigmoid</c>, 0.2 <c>bco_pair</c>, 1 <c>sft</c>; Wang et al.
    /// 2024) and <c>dpo_norm</c> (<c>sigmoid_norm</c> with β 5; Tülu 3).</summary>
    public static IReadOnlyCollection<string> AllNames { get; } = [.. Known.Keys, .. Presets.Keys];

    /// <summary>The names of losses whose own β is for something else than sums of log-ratios, or a preset's: a β that is usual
    /// for others says nothing to them.</summary>
    public static IReadOnlyCollection<string> NamesOfOwnBeta { get; } =
        ["simpo", "alphapo", .. Presets.Where(preset => preset.Value.Beta is not null).Select(preset => preset.Key)];

    /// <summary>The losses' names; several are added up (<see cref="CombinedLoss"/>).</summary>
    public IReadOnlyList<string> Names { get; init; } = ["sigmoid"];

    /// <summary>A weight for each name; 1 by default.</summary>
    public IReadOnlyList<double>? Weights { get; init; }

    /// <summary>β &gt; 0, of all of the losses; null for each loss's own default: 2 for <c>simpo</c>, 2.5 for <c>alphapo</c>, a
    /// preset's for that, 0.1 for all others.</summary>
    public double? Beta { get; init; }

    /// <summary>ε in [0, ½) of <c>sigmoid</c> (conservative DPO), <c>exo_pair</c> (there above 0), <c>robust</c>, <c>aot</c>,
    /// <c>aot_unpaired</c> and <c>cpo</c>; others take none but 0. Null for each loss's own default: 0.1 for <c>robust</c>
    /// (TRL's is 0, which makes it <c>sigmoid</c>), 1e-3 for <c>exo_pair</c>, 0 for all others.</summary>
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

    /// <summary>α ≥ 0 of <c>cpo</c>, <c>cpo_hinge</c> and <c>cpo_ipo</c>: the weight of <c>sft</c> beside them.</summary>
    public double CpoAlpha { get; init; } = 1;

    /// <summary>γ of <c>alphapo</c>.</summary>
    public double AlphaPoGamma { get; init; } = 0.1;

    /// <summary>α of <c>alphapo</c>.</summary>
    public double AlphaPoAlpha { get; init; } = 0.25;

    /// <summary>λ of <c>dpop</c>.</summary>
    public double DpopLambda { get; init; } = 50;

    /// <summary>α of <c>r_dpo</c>.</summary>
    public double RDpoAlpha { get; init; } = 0.01;

    /// <summary>α of <c>odpo</c> and <c>odpo_ratio</c>.</summary>
    public double OdpoAlpha { get; init; } = 1;

    /// <summary>w of <c>cal_dpo</c>.</summary>
    public double CalDpoWeight { get; init; } = 0.5;

    /// <summary>R of <c>chi_po</c>; null does not clip.</summary>
    public double? ChiPoRewardBound { get; init; }

    /// <summary>a of <c>beta_dpo</c>: how far its β follows the batch.</summary>
    public double BetaDpoSensitivity { get; init; } = 0.6;

    /// <summary>The share of pairs that <c>beta_dpo</c> leaves out.</summary>
    public double BetaDpoFilteredShare { get; init; } = 0.2;

    /// <summary>What begins the draws of <c>sampo</c>.</summary>
    public int SamPoSeed { get; init; }

    /// <summary>α of <c>tdpo2</c>.</summary>
    public double TdpoAlpha { get; init; } = 0.5;

    /// <summary>f of <c>dpo_shift</c>, at the beginning of the run.</summary>
    public double DpoShift { get; init; } = 0.95;

    /// <summary>f of <c>dpo_shift</c> at the end of the run; null for the one at the beginning.</summary>
    public double? DpoShiftLast { get; init; }

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
        (IPreferenceLoss, double Weight)[] terms = [.. Names.Zip(Weights ?? [.. Names.Select(_ => 1.0)]).SelectMany(
            named => Terms(named.First).Select(term => (term.Loss, term.Weight * named.Second)))];
        return terms is [(var only, 1)] ? only : Checked(() => new CombinedLoss(terms));
    }

    /// <summary>What a name stands for: a loss, or several with their weights.</summary>
    private IEnumerable<(IPreferenceLoss Loss, double Weight)> Terms(string name)
    {
        if (Presets.TryGetValue(name, out var preset))
        {
            var own = this with { Beta = Beta ?? preset.Beta };
            return preset.Names.Zip(preset.Weights!, (of, weight) => (own.Create(of), weight));
        }
        var loss = Create(name);
        return name.StartsWith("cpo", StringComparison.Ordinal) && CpoAlpha != 0
            ? [(loss, 1), (Create("sft"), CpoAlpha)]
            : [(loss, 1)];
    }

    private IPreferenceLoss Create(string name)
    {
        if (!Known.TryGetValue(name, out var create))
            throw new InvalidInputException($"The loss '{name}' is not known; the losses are {string.Join(", ", AllNames)}.");
        if (LabelSmoothing is not (null or 0) && !OfChosen.Contains(name) && !Smoothed.Contains(name))
            throw new InvalidInputException(
                $"The loss '{name}' has no label smoothing; leave it out, or take one of {string.Join(", ", Smoothed)}.");
        if (Divergence is { Name: not "reverse_kl" } divergence && !OfChosen.Contains(name) && !OfScores.Contains(name))
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
