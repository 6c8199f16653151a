using System.Globalization;
using Dpo.Evaluation.Measuring;
using Dpo.Evaluation.Reporting;
using Dpo.Evaluation.Statistics;
using Dpo.Parquet;

namespace Dpo.Samples;

/// <summary>Pairs, ordered by what a policy and its reference make of them.</summary>
internal static class Scoring
{
    /// <summary>Reads, scores, and leaves rewards and a report.</summary>
    public static void Run(ScoreSettings settings, CancellationToken cancellationToken)
    {
        var rows = settings.IsRewardBench ? RewardBench(settings) : null;
        PreferenceExample[] examples =
            [.. (rows?.Select(row => row.Example) ?? Preferences.Read(settings.Data, "preference", settings.Columns)!)
                .Where(example => example.Pairs.Count > 0)];
        if (examples.Length == 0)
            throw new InvalidInputException(
                $"--data {settings.Data}: there is no pair to score; give rows with a chosen and a rejected completion.");

        var (policy, tokenizer) = StartingPoint.Create(
            settings.Policy, settings.Bos, texts: [], settings.MaxLength, "--max-length", seed: 0, settings.Precision,
            settings.Device);
        using var pair = new PolicyReferencePair(policy, Reference(policy, settings));
        var data = Preferences.Tokenize(
            examples,
            new ExampleTokenizer(
                tokenizer, settings.MaxLength, settings.MaxPromptLength, settings.Truncation, settings.Chat?.Template),
            "preference");
        using var loss = new DpoLoss(settings.Beta);
        PairRewards[] rewards = [.. Evaluator.Rewards(pair, data, loss, cancellationToken: cancellationToken)];
        if (rewards.FirstOrDefault(pair => !double.IsFinite(pair.Margin)) is { } odd)
            throw new InvalidInputException(
                $"The margin of {odd.Source ?? "a pair"} is not finite; the weights of --policy or --reference are damaged.");

        Directory.CreateDirectory(settings.Output);
        var path = Path.Combine(settings.Output, "rewards.csv");
        RewardsTable.Write(path, rewards);
        var subsets = rows?.ToDictionary(row => row.Example.Source!, row => row.Subset);
        ScoredFile.Write(Path.Combine(settings.Output, RunReport.ScoredName), rewards.Select(pair => new ScoredPair
        {
            Source = pair.Source,
            Subset = subsets?[pair.Source!],
            Margin = pair.Margin,
        }));
        var dropped = examples.Length - data.Examples.Count;
        new RunRecord
        {
            Program = "Implicit rewards",
            Options = settings.InWords(),
            Data = new Dictionary<string, string> { ["scored"] = RunRecord.DigestOf(data) },
            Models = new Dictionary<string, string>
            {
                ["policy"] = RunRecord.DigestOf(policy),
                ["reference"] = pair.WithReference(RunRecord.DigestOf),
            },
            Audit = Audit.InWords(DataAudit.Of(examples)),
            LeftOut = dropped == 0 ? [] : [$"{dropped} of {examples.Length} examples: as tokens there was nothing to compare."],
        }.Write(settings.Output);
        Show(rewards);
        Terminal.Line($"The rewards are in {path}.");
        Terminal.Line($"The report is {RunReport.Write([settings.Output], settings.Output)}.");
    }

    /// <summary>Rows of RewardBench, out of JSON or Parquet; with a chat template a prompt is what a user says.</summary>
    private static IReadOnlyList<RewardBenchRow> RewardBench(ScoreSettings settings)
    {
        List<RewardBenchRow> rows = [];
        if (Preferences.IsParquet(settings.Data))
        {
            RewardBenchRow? row = null;
            var examples = PreferenceParquet.Read(
                settings.Data, new DataReport(), json => (row = RewardBenchRow.Of(json)).Example, BadRows.Refuse);
            foreach (var example in examples)
                rows.Add(row! with { Example = example });
        }
        else
            rows.AddRange(RewardBenchRow.Read(settings.Data));
        return settings.Chat is null ? rows : rows.ConvertAll(row => row with { Example = AsChat(row.Example) });
    }

    private static PreferenceExample AsChat(PreferenceExample example) => example with
    {
        Conversation = new Conversation(
            [new ChatMessage(ChatMessage.User, example.Prompt)],
            [.. example.Completions.Select(text => (ChatMessage[])[new ChatMessage(ChatMessage.Assistant, text)])]),
    };

    private static TransformerModel Reference(TransformerModel policy, ScoreSettings settings)
    {
        var reference = CausalLanguageModel.Load(settings.Reference, settings.Device);
        reference.Precision = settings.Precision;
        if (reference.VocabularySize != policy.VocabularySize)
            throw new InvalidInputException(
                $"--reference {settings.Reference}: its vocabulary has {reference.VocabularySize} entries and that of --policy " +
                $"{settings.Policy} has {policy.VocabularySize}; give the model that the policy was trained from.");
        if (settings.MaxLength > reference.MaxPositions)
            throw new InvalidInputException(
                $"--reference {settings.Reference}: the model has {reference.MaxPositions} positions, but sequences may have " +
                $"{settings.MaxLength} tokens; give a smaller --max-length.");
        return reference;
    }

    private static void Show(IReadOnlyList<PairRewards> rewards)
    {
        var calibration = Calibration.Of([.. rewards.Select(pair => pair.Margin)]);
        var (accuracy, interval) = (calibration.Accuracy.Value, calibration.Accuracy.Interval);
        Terminal.Line(string.Create(
            CultureInfo.InvariantCulture,
            $"Accuracy {accuracy:0.000} (95 %: {interval.Low:0.000} to {interval.High:0.000}) of {rewards.Count} pairs, " +
            $"calibration error {calibration.ExpectedError:0.000}."));
    }
}
