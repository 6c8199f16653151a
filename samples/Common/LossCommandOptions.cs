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
    private readonly Option<double?> simPoGamma = CliOption.Real(
        "--simpo-gamma", "γ of simpo: the margin that is asked for. [default: 0.5]", 0, inclusive: true);
    private readonly Option<double?> discoPopTau = CliOption.Real("--discopop-tau", "τ of discopop. [default: 0.05]", 0);
    private readonly Option<double?> desirableWeight = CliOption.Real(
        "--desirable-weight", "λ of kto's desirable completions. [default: 1]", 0, inclusive: true);
    private readonly Option<double?> undesirableWeight = CliOption.Real(
        "--undesirable-weight", "λ of kto's undesirable completions. [default: 1]", 0, inclusive: true);
    private readonly Option<double?> scoreScale = CliOption.Real(
        "--score-scale", "What gaps of scores are multiplied by in rpo_sq, rpo_bwd_kl and rpo_fwd_kl. [default: 1]", 0);
    private readonly Option<double?> unlikelihoodAlpha = CliOption.Real(
        "--unlikelihood-alpha", "α of unlikelihood, from 0 to 1. [default: 0.5]", 0, inclusive: true);
    private readonly Option[] all;

    public LossCommandOptions(RootCommand command, double defaultBeta)
    {
        this.defaultBeta = defaultBeta;
        beta = CliOption.Real(
            "--beta",
            $"How strongly the policy is held to the reference. [default: {defaultBeta}; with simpo each loss's own, " +
            "2 for simpo]",
            0);
        all =
        [
            loss, lossWeights, beta, labelSmoothing, divergence, divergenceAlpha, ldAlpha, useWeighting, simPoGamma, discoPopTau,
            desirableWeight, undesirableWeight, scoreScale, unlikelihoodAlpha,
        ];
        foreach (var option in all)
            command.Options.Add(option);
    }

    /// <summary>The losses that a person asked for, and the one loss that they make.</summary>
    public (IReadOnlyList<string> Names, IPreferenceLoss Loss) Parse(ParseResult parsed)
    {
        var names = parsed.GetValue(loss)?.Split(',') ?? ["sigmoid"];
        Require(parsed, simPoGamma, names, "simpo");
        Require(parsed, discoPopTau, names, "discopop");
        Require(parsed, desirableWeight, names, "kto");
        Require(parsed, undesirableWeight, names, "kto");
        Require(parsed, scoreScale, names, "rpo_sq", "rpo_bwd_kl", "rpo_fwd_kl");
        Require(parsed, unlikelihoodAlpha, names, "unlikelihood");
        var alpha = parsed.GetValue(divergenceAlpha);
        if (alpha is not null && parsed.GetValue(divergence) != AlphaDivergence)
            throw new InvalidInputException($"--f-alpha goes with --f-divergence {AlphaDivergence}.");

        var defaults = new LossOptions();
        var options = new LossOptions
        {
            Names = names,
            Weights = parsed.GetValue(lossWeights) is { } weights ? CliOption.Reals("--loss-weights", weights) : null,
            // A β for sums of log-ratios says nothing to simpo, whose rewards are means over tokens.
            Beta = parsed.GetValue(beta) ?? (names.Contains("simpo") ? null : defaultBeta),
            LabelSmoothing = parsed.GetValue(labelSmoothing),
            Divergence = Divergences.SingleOrDefault(known => known.Name == parsed.GetValue(divergence))
                ?? FDivergence.Alpha(alpha ?? 0.5),
            LdAlpha = parsed.GetValue(ldAlpha),
            UseWeighting = parsed.GetValue(useWeighting),
            SimPoGamma = parsed.GetValue(simPoGamma) ?? defaults.SimPoGamma,
            DiscoPopTemperature = parsed.GetValue(discoPopTau) ?? defaults.DiscoPopTemperature,
            DesirableWeight = parsed.GetValue(desirableWeight) ?? defaults.DesirableWeight,
            UndesirableWeight = parsed.GetValue(undesirableWeight) ?? defaults.UndesirableWeight,
            ScoreScale = parsed.GetValue(scoreScale) ?? defaults.ScoreScale,
            UnlikelihoodAlpha = parsed.GetValue(unlikelihoodAlpha) ?? defaults.UnlikelihoodAlpha,
        };
        try
        {
            return (names, options.Create());
        }
        catch (InvalidInputException e)
        {
            throw new InvalidInputException($"{Given(parsed)}: {e.Message}", e);
        }
    }

    private static void Require(ParseResult parsed, Option<double?> option, string[] names, params string[] losses)
    {
        if (parsed.GetValue(option) is not null && !names.Intersect(losses).Any())
            throw new InvalidInputException($"{option.Name} goes with --loss {string.Join("|", losses)}.");
    }

    /// <summary>What of these options was given, as it was typed.</summary>
    private string Given(ParseResult parsed) => string.Join(" ", all
        .Select(parsed.GetResult)
        .Where(result => result is { Implicit: false })
        .Select(result => string.Join(" ", result!.Tokens.Select(token => token.Value).Prepend(result.Option.Name))));
}
