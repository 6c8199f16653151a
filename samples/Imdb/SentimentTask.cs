namespace Dpo.Samples;

/// <summary>What every part of the plan works on: reviews with a label, of which every tenth is held out, and the true reward, a
/// classifier's: the one that was named, or one trained on the others.</summary>
internal sealed class SentimentTask : IDisposable
{
    private readonly ImdbSettings settings;
    private readonly Review[] unseen;

    /// <summary>Reads the reviews and loads or trains the classifier.</summary>
    /// <exception cref="InvalidInputException">One of them cannot be used.</exception>
    public SentimentTask(ImdbSettings settings)
    {
        this.settings = settings;
        var reviews = Reviews.Read(settings);
        unseen = [.. reviews.Where((_, index) => index % 10 == 0)];
        Training = [.. reviews.Where((_, index) => index % 10 != 0)];
        Reward = new TrueReward(settings, Training);
    }

    /// <summary>The reviews that are trained on.</summary>
    public IReadOnlyList<Review> Training { get; }

    /// <summary>The true reward.</summary>
    public TrueReward Reward { get; }

    /// <summary>What preferences are sampled of, and PPO's prompts.</summary>
    public IReadOnlyList<IReadOnlyList<int>> Prefixes(TextTokenizer tokenizer) =>
        Reviews.Prefixes(Training, tokenizer, settings.Prefixes, settings.Seed);

    /// <summary>What is evaluated on: of reviews that no part of the training sees.</summary>
    public IReadOnlyList<IReadOnlyList<int>> HeldOutPrefixes(TextTokenizer tokenizer) =>
        Reviews.Prefixes(unseen, tokenizer, settings.HeldOutPrefixes, settings.Seed);

    public void Dispose() => Reward.Dispose();
}
