using System.CommandLine;

namespace Dpo.Samples;

/// <summary>The options of a command line that name a loss and its numbers, under TRL's names where TRL has them.</summary>
internal sealed class LossCommandOptions
{
    private const string AlphaDivergence = "alpha_divergence";

    private static readonly FDivergence[] Divergences = [FDivergence.ReverseKl, FDivergence.ForwardKl, FDivergence.JensenShannon];

    private readonly double defaultBeta;
    private readonly Option<string?> loss = CliOption.List(
        "--loss", "NAME[,NAME…]", $"One or more, added up: {string.Join("|", LossOptions.AllNames)}. [default: sigmoid, DPO's]");
    private readonly Option<string?> lossWeights = CliOption.List(
        "--loss-weights", "X[,X…]", "A weight for each loss. [default: 1]");
    private readonly Option<double?> beta;
    private readonly Option<double?> labelSmoothing = CliOption.Real(
        "--label-smoothing",
        "Share of preferences taken to be the wrong way round. [default: 0; 0.1 for robust, 0.001 for exo_pair]",
        0, inclusive: true, below: 0.5);
    private readonly Option<string> divergence = CliOption.Choice(
        "--f-divergence", "What holds the policy to the reference.",
        [.. Divergences.Select(known => known.Name), AlphaDivergence]);
    private readonly Option<double?> divergenceAlpha = CliOption.Real(
        "--f-alpha", "α of alpha_divergence: 1 is reverse_kl, 0 is forward_kl. [default: 0.5]", 0, inclusive: true);
    private readonly Option<double?> ldAlpha = CliOption.Real(
        "--ld-alpha", "LD-DPO's α, from 0 to 1: what tokens past the shorter completion's length count. [default: 1]",
        0, inclusive: true);
    private readonly Option<bool> useWeighting =
        new("--use-weighting") { Description = "Weight pairs by how likely the policy is to write them (WPO)." };
    private readonly Number[] numbers =
    [
        new("--simpo-gamma", "γ of simpo: the margin that is asked for. [default: 0.5]",
            (options, value) => options with { SimPoGamma = value }, "simpo"),
        new("--discopop-tau", "τ of discopop. [default: 0.05]",
            (options, value) => options with { DiscoPopTemperature = value }, "discopop") { AboveMinimum = true },
        new("--desirable-weight", "λ of kto's desirable completions. [default: 1]",
            (options, value) => options with { DesirableWeight = value }, "kto"),
        new("--undesirable-weight", "λ of kto's undesirable completions. [default: 1]",
            (options, value) => options with { UndesirableWeight = value }, "kto"),
        new("--score-scale", "What gaps of scores are multiplied by in rpo_sq, rpo_bwd_kl and rpo_fwd_kl. [default: 1]",
            (options, value) => options with { ScoreScale = value }, "rpo_sq", "rpo_bwd_kl", "rpo_fwd_kl")
        {
            AboveMinimum = true,
        },
        new("--unlikelihood-alpha", "α of unlikelihood, from 0 to 1. [default: 0.5]",
            (options, value) => options with { UnlikelihoodAlpha = value }, "unlikelihood"),
        new("--cpo-alpha", "Weight of sft beside cpo, cpo_hinge and cpo_ipo. [default: 1]",
            (options, value) => options with { CpoAlpha = value }, "cpo", "cpo_hinge", "cpo_ipo"),
        new("--alphapo-gamma", "γ of alphapo: the margin that is asked for. [default: 0.1]",
            (options, value) => options with { AlphaPoGamma = value }, "alphapo"),
        new("--alphapo-alpha", "α of alphapo; 0 is simpo. [default: 0.25]",
            (options, value) => options with { AlphaPoAlpha = value }, "alphapo") { Minimum = double.NegativeInfinity },
        new("--dpop-lambda", "λ of dpop: what a fall of the chosen completion counts. [default: 50]",
            (options, value) => options with { DpopLambda = value }, "dpop"),
        new("--r-dpo-alpha", "α of r_dpo: what a token is charged. [default: 0.01]",
            (options, value) => options with { RDpoAlpha = value }, "r_dpo"),
        new("--odpo-alpha", "α of odpo and odpo_ratio: what the scores' gap counts. [default: 1]",
            (options, value) => options with { OdpoAlpha = value }, "odpo", "odpo_ratio") { AboveMinimum = true },
        new("--cal-dpo-weight", "Weight of cal_dpo's calibration. [default: 0.5]",
            (options, value) => options with { CalDpoWeight = value }, "cal_dpo"),
        new("--chi-po-bound", "R of chi_po: the largest reward there is. [default: none]",
            (options, value) => options with { ChiPoRewardBound = value }, "chi_po") { AboveMinimum = true },
        new("--beta-dpo-a", "a of beta_dpo: how far its β follows the batch. [default: 0.6]",
            (options, value) => options with { BetaDpoSensitivity = value }, "beta_dpo"),
        new("--beta-dpo-filter", "Share of a batch's pairs that beta_dpo leaves out. [default: 0.2]",
            (options, value) => options with { BetaDpoFilteredShare = value }, "beta_dpo"),
        new("--tdpo-alpha", "α of tdpo2: what the KLs count. [default: 0.5]",
            (options, value) => options with { TdpoAlpha = value }, "tdpo2"),
        new("--dpo-shift", "f of dpo_shift, above 0 and at most 1. [default: 0.95]",
            (options, value) => options with { DpoShift = value }, "dpo_shift") { AboveMinimum = true },
        new("--dpo-shift-last", "f of dpo_shift at the end of the run, in a straight line. [default: as at the beginning]",
            (options, value) => options with { DpoShiftLast = value }, "dpo_shift") { AboveMinimum = true },
    ];
    private readonly Option[] all;

    public LossCommandOptions(RootCommand command, double defaultBeta)
    {
        this.defaultBeta = defaultBeta;
        beta = CliOption.Real(
            "--beta",
            $"How strongly the policy is held to the reference. [default: {defaultBeta}; each loss's own with " +
            $"{string.Join(", ", LossOptions.NamesOfOwnBeta)}]",
            0);
        all =
        [
            loss, lossWeights, beta, labelSmoothing, divergence, divergenceAlpha, ldAlpha, useWeighting,
            .. numbers.Select(number => number.Option),
        ];
        foreach (var option in all)
            command.Options.Add(option);
    }

    /// <summary>The losses that a person asked for, and the one loss that they make.</summary>
    public (IReadOnlyList<string> Names, IPreferenceLoss Loss) Parse(ParseResult parsed)
    {
        var names = parsed.GetValue(loss)?.Split(',') ?? ["sigmoid"];
        foreach (var number in numbers)
            number.Require(parsed, names);
        var alpha = parsed.GetValue(divergenceAlpha);
        if (alpha is not null && parsed.GetValue(divergence) != AlphaDivergence)
            throw new InvalidInputException($"--f-alpha goes with --f-divergence {AlphaDivergence}.");

        var options = new LossOptions
        {
            Names = names,
            Weights = parsed.GetValue(lossWeights) is { } weights ? CliOption.Reals("--loss-weights", weights) : null,
            Beta = parsed.GetValue(beta) ?? (names.Intersect(LossOptions.NamesOfOwnBeta).Any() ? null : defaultBeta),
            LabelSmoothing = parsed.GetValue(labelSmoothing),
            Divergence = Divergences.SingleOrDefault(known => known.Name == parsed.GetValue(divergence))
                ?? FDivergence.Alpha(alpha ?? 0.5),
            LdAlpha = parsed.GetValue(ldAlpha),
            UseWeighting = parsed.GetValue(useWeighting),
        };
        try
        {
            return (names, numbers.Aggregate(options, (given, number) => number.Set(parsed, given)).Create());
        }
        catch (InvalidInputException e)
        {
            throw new InvalidInputException($"{Given(parsed)}: {e.Message}", e);
        }
    }

    /// <summary>What of these options was given, as it was typed.</summary>
    private string Given(ParseResult parsed) => string.Join(" ", all
        .Select(parsed.GetResult)
        .Where(result => result is { Implicit: false })
        .Select(result => string.Join(" ", result!.Tokens.Select(token => token.Value).Prepend(result.Option.Name))));

    /// <summary>A number of some losses alone.</summary>
    private sealed class Number(
        string name, string description, Func<LossOptions, double, LossOptions> set, params string[] losses)
    {
        /// <summary>The least it may be.</summary>
        public double Minimum { get; init; }

        /// <summary>Whether it must be more than that.</summary>
        public bool AboveMinimum { get; init; }

        public Option<double?> Option => field ??= CliOption.Real(name, description, Minimum, inclusive: !AboveMinimum);

        /// <summary>Refuses it beside other losses.</summary>
        public void Require(ParseResult parsed, string[] names)
        {
            if (parsed.GetValue(Option) is not null && !names.Intersect(losses).Any())
                throw new InvalidInputException($"{name} goes with --loss {string.Join("|", losses)}.");
        }

        /// <summary>Options with the number, where it was given.</summary>
        public LossOptions Set(ParseResult parsed, LossOptions options) =>
            parsed.GetValue(Option) is { } value ? set(options, value) : options;
    }
}
