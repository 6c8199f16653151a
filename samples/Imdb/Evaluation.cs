using System.Text.Encodings.Web;
using System.Text.Json;
using Dpo.Evaluation.Measuring;
using Dpo.Evaluation.Reporting;
using Dpo.Evaluation.Statistics;
using Spectre.Console;
using TorchSharp;

namespace Dpo.Samples;

/// <summary>How well, and how far from the reference, a policy continues held-out prefixes.</summary>
/// <param name="Prefixes">The prefixes.</param>
/// <param name="Continuations">One sample from the policy for each.</param>
/// <param name="Reward">The mean true reward of the samples.</param>
/// <param name="Kl">The sequence-level KL(π‖π_ref), in nats: the mean of log π − log π_ref over the samples.</param>
internal sealed record Evaluation(
    IReadOnlyList<IReadOnlyList<int>> Prefixes, IReadOnlyList<int>[] Continuations, Estimate Reward, Estimate Kl)
{
    /// <summary>Samples from the policy as it is now, and scores the samples.</summary>
    public static Evaluation Measure(
        PolicyReferencePair pair, IReadOnlyList<IReadOnlyList<int>> prefixes, Scorer scorer, TextTokenizer tokenizer,
        ImdbSettings settings, CancellationToken cancellationToken)
    {
        // The KL is that of what the models themselves would write, whatever the preferences were drawn at.
        var continuations = Sampling.Continue(
            (TransformerModel)pair.Policy, tokenizer, prefixes, settings with { Temperature = 1 }, cancellationToken);
        return new Evaluation(
            prefixes, continuations, Estimate.OfMean(scorer.Rewards(prefixes, continuations)),
            Estimate.OfMean(LogRatios(pair, prefixes, continuations)));
    }

    /// <summary>Prints both models' figures, and some prefixes with both continuations.</summary>
    public static void Show(Evaluation sft, Evaluation dpo, Scorer scorer)
    {
        var table = new Table().AddColumns("", "reward", "KL(π‖π_ref)");
        foreach (var (name, result) in new[] { ("SFT", sft), ("DPO", dpo) })
            table.AddRow(
                name, $"{result.Reward.Value:0.000} ± {result.Reward.StandardError:0.000}",
                $"{result.Kl.Value:0.00} ± {result.Kl.StandardError:0.00}");
        AnsiConsole.Write(table);
        for (var index = 0; index < Math.Min(3, sft.Prefixes.Count); index++)
        {
            Terminal.Line($"{Environment.NewLine}SFT: {scorer.Text(sft.Prefixes[index], sft.Continuations[index])}");
            Terminal.Line($"DPO: {scorer.Text(dpo.Prefixes[index], dpo.Continuations[index])}");
        }
        Terminal.Line("");
    }

    /// <summary>Writes <c>summary.json</c>.</summary>
    public static void Save(Evaluation sft, Evaluation dpo, TimeSpan elapsed, ImdbSettings settings)
    {
        object Figures(Evaluation result) => new
        {
            reward = result.Reward.Value,
            reward_standard_error = result.Reward.StandardError,
            kl = result.Kl.Value,
            kl_standard_error = result.Kl.StandardError,
        };
        var summary = new
        {
            sft = Figures(sft),
            dpo = Figures(dpo),
            held_out_prefixes = sft.Prefixes.Count,
            beta = settings.Beta,
            seed = settings.Seed,
            seconds = elapsed.TotalSeconds,
        };
        WriteWhole(Path.Combine(settings.Output, "summary.json"), JsonSerializer.Serialize(summary) + "\n");
    }

    /// <summary>Writes what the report shows: both models as points of reward and KL, and what they say to some
    /// prefixes.</summary>
    public static void SaveForReport(Evaluation sft, Evaluation dpo, int steps, Scorer scorer, ImdbSettings settings)
    {
        FrontierFile.Write(
            Path.Combine(settings.Output, RunReport.FrontierName),
            [
                sft.ToPoint("fine-tuned", "reference", 0, settings),
                dpo.ToPoint(FormattableString.Invariant($"dpo-beta-{settings.Beta}"), "DPO", steps, settings),
            ]);
        var readable = new JsonSerializerOptions { Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping };
        var lines = sft.Prefixes.Zip(dpo.Continuations, sft.Continuations).Take(8).Select(sample => JsonSerializer.Serialize(
            new
            {
                step = steps,
                prompt = scorer.Text(sample.First, []),
                policy = scorer.Text([], sample.Second),
                reference = scorer.Text([], sample.Third),
            },
            readable));
        WriteWhole(Path.Combine(settings.Output, "samples.jsonl"), string.Concat(lines.Select(line => line + "\n")));
    }

    /// <summary>A file that appears whole or not at all.</summary>
    private static void WriteWhole(string path, string text)
    {
        File.WriteAllText(path + ".tmp", text);
        File.Move(path + ".tmp", path, overwrite: true);
    }

    private FrontierPoint ToPoint(string run, string method, int step, ImdbSettings settings) => new()
    {
        Run = run,
        Method = method,
        Seed = settings.Seed,
        Step = step,
        Reward = Reward,
        Kl = Kl,
    };

    private static double[] LogRatios(
        PolicyReferencePair pair, IReadOnlyList<IReadOnlyList<int>> prefixes, IReadOnlyList<int>[] continuations)
    {
        using var noGrad = torch.no_grad();
        var ratios = new List<double>();
        var batch = new PreferenceBatch(
            [.. prefixes.Zip(continuations, (prefix, continuation) => new TokenizedExample(prefix, [continuation], []))]);
        foreach (var part in batch.Split(maxTokens: 4096))
        {
            using var scope = torch.NewDisposeScope();
            var (policy, reference) = pair.LogProbs(part.To(pair.Policy.Device));
            ratios.AddRange((policy.Sums - reference.Sums).cpu().data<float>().Select(ratio => (double)ratio));
        }
        return [.. ratios];
    }
}
