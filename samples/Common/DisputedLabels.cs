using System.Globalization;
using Dpo.Evaluation.Measuring;
using Dpo.Evaluation.Reporting;

namespace Dpo.Samples;

/// <summary>Which labels of the training pairs the reference disputes: a part of the data's audit that takes a model.</summary>
internal static class DisputedLabels
{
    private const string Subject = "labels that the reference disputes";
    private const int MostRanked = 2000, MostKept = 20;

    /// <summary>Ranks training pairs by the reference and writes the most disputed ones to the output folder. It takes a pass of
    /// the reference over at most 2,000 pairs, taken evenly from data of more, and over no more than a short run trains
    /// on.</summary>
    /// <param name="record">The run.</param>
    /// <param name="pair">The policy with its reference; null where the loss does without one.</param>
    /// <param name="data">What was trained on.</param>
    /// <param name="tokenizer">Whose tokens those are.</param>
    /// <param name="settings">What was asked for.</param>
    /// <param name="cancellationToken">Ends it.</param>
    /// <returns>The run, its audit with how many labels are disputed, or with a word of why it is not known.</returns>
    public static RunRecord Find(
        RunRecord record, PolicyReferencePair? pair, PreferenceData data, TextTokenizer tokenizer, TrainingSettings settings,
        CancellationToken cancellationToken)
    {
        var count = data.Examples.Sum(example => example.Pairs.Count);
        if (pair is null || settings.Training.MoveReferenceEvery is not null || count == 0)
        {
            var reason = pair is null ? "the loss does without one" : count == 0 ? "the data have no pairs" : "it has moved";
            return record with { LeftOut = [.. record.LeftOut, $"Which labels the reference disputes: {reason}."] };
        }
        Reports.AfterTraining(() =>
        {
            var most = (int)Math.Min(MostRanked, (long)(settings.Training.Steps ?? MostRanked) * settings.Training.BatchSize);
            var step = (count + most - 1) / most;
            var sample = new PreferenceData(
                data.Examples.Where(example => example.Pairs.Count > 0).Where((_, index) => index % step == 0));
            var alone = new SimPoLoss(); // or any other loss without a reference: only log-probabilities are looked at
            var rewards = pair.WithReference(reference =>
                Evaluator.Rewards(reference, sample, alone, cancellationToken: cancellationToken).Take(most).ToArray());
            var ranked = LabelNoise.Rank(rewards, LabelWitness.LogProbs);
            var disputed = ranked.Where(suspect => suspect.Against > 0).ToArray();

            var examples = new Dictionary<PairRewards, TrainingExample>(
                rewards.Zip(sample.Examples.SelectMany(example => example.Pairs.Select(_ => example)), KeyValuePair.Create),
                ReferenceEqualityComparer.Instance);
            var path = Path.Combine(settings.Output, RunReport.DisputedName);
            DisputedFile.Write(path, disputed.Take(MostKept).Select(suspect =>
            {
                var example = examples[suspect.Pair];
                string Text(IReadOnlyList<int> ids) => tokenizer.Decode(ids, skipSpecial: true);
                return new DisputedPair
                {
                    Source = example.Source,
                    Prompt = Text(example.Prompt),
                    Chosen = Text(example.Completions[suspect.Pair.Chosen]),
                    Rejected = Text(example.Completions[suspect.Pair.Rejected]),
                    Nats = suspect.Against,
                };
            }));
            string Number(int number) => number.ToString("N0", CultureInfo.InvariantCulture);
            var share = (100.0 * disputed.Length / ranked.Count).ToString("0.#", CultureInfo.InvariantCulture);
            var words = $"{Number(disputed.Length)} of {Number(ranked.Count)} pairs, {share} %"
                + (step > 1 ? $"; a sample of {Number(count)}" : "");
            record = record with { Audit = new Dictionary<string, string>(record.Audit) { [Subject] = words } };
        });
        return record;
    }
}
