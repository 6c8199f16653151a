namespace Dpo.Samples;

/// <summary>How favourable a text is: by a RoBERTa classifier, such as the paper's, where one is named; else by a classifier
/// trained on the reviews.</summary>
internal sealed class TrueReward : IDisposable
{
    private const string Favourable = "POSITIVE";

    private readonly RobertaClassifier? pretrained;
    private readonly int favourable;
    private readonly SentimentClassifier? trained;

    /// <summary>Loads the named classifier, or trains one.</summary>
    /// <exception cref="InvalidInputException">The classifier cannot be loaded or has no label POSITIVE, or, where none is named,
    /// there are no reviews of one kind.</exception>
    public TrueReward(ImdbSettings settings, IEnumerable<Review> training)
    {
        if (settings.RewardModel is null)
        {
            trained = SentimentClassifier.Train(training);
            return;
        }
        pretrained = RobertaClassifier.Load(settings.RewardModel, settings.Device);
        favourable = pretrained.IndexOf(Favourable);
    }

    /// <summary>For each text log P(favourable) − log P(not favourable), in nats: it orders texts that the probability can no
    /// longer tell apart.</summary>
    public IReadOnlyList<double> LogOdds(IReadOnlyList<string> texts)
    {
        if (pretrained is null)
            return [.. texts.Select(trained!.LogOdds)];
        return [.. pretrained.LogProbabilities(texts).Select(logProbs =>
            logProbs[favourable] - Math.Log(logProbs.Where((_, label) => label != favourable).Sum(Math.Exp)))];
    }

    /// <summary>For each text P(favourable), from 0 to 1.</summary>
    public IReadOnlyList<double> Probabilities(IReadOnlyList<string> texts) =>
        [.. LogOdds(texts).Select(logOdds => 1 / (1 + Math.Exp(-logOdds)))];

    public void Dispose() => pretrained?.Dispose();
}
