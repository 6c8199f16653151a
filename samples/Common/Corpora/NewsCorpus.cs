namespace Dpo.Samples;

/// <summary>
/// Short news about troubles like those of <see cref="PostCorpus"/>, told by a reporter: what a model of posts has not seen. The
/// chosen summary says in one sentence who did what to whom, and what came of it; the rejected one says it of another thing and
/// another outcome.
/// </summary>
internal static class NewsCorpus
{
    private static readonly string[] People =
        ["sister", "brother", "neighbour", "uncle", "aunt", "cousin", "roommate", "friend", "girlfriend", "boyfriend"];

    private static readonly string[] Places = ["Ashford", "Norwich", "Dover", "Leeds", "Bristol", "York", "Luton", "Bath"];
    private static readonly string[] Days = ["On Monday", "On Tuesday", "Last week", "In March", "A month ago"];
    private static readonly string[] Heroes = ["teacher", "nurse", "driver", "baker", "student", "plumber", "gardener"];

    private static readonly Kind[] Kinds =
    [
        new("Quarrel over a {thing} in {place}",
            "{Day} a {hero} from {place} found that the {person} had borrowed the {thing} without asking.",
            ["bike", "tent", "guitar", "camera", "ladder", "laptop", "coat", "drill"],
            [new("The {person} said to our reporter that it was lost on a train.", "lost it"),
                new("It came back broken, and the {person} had nothing to say about it.", "broke it"),
                new("The {person} had sold it to a stranger by then.", "sold it")],
            "The {person} of a {hero} borrowed a {thing} and {outcome}."),
        new("A {person} waits in {place}",
            "{Day} a {hero} from {place} promised the {person} to come to the {thing}.",
            ["wedding", "birthday", "concert", "school play", "house party", "football match", "funeral"],
            [new("The {hero} had to work on that day.", "had to work"),
                new("There was an exam on that day.", "had an exam"),
                new("The train was cancelled that morning.", "the train was cancelled"),
                new("The {hero} was ill and had to stay in bed.", "was ill")],
            "A {hero} promised the {person} to come to the {thing}, but {outcome}."),
    ];

    private static readonly string[] Ends =
        ["The mayor has offered to talk to both.", "The police were not called.", "Neighbours say that they were close before.",
            "A local paper collects letters about it."];

    /// <summary>A judge of summaries that knows the news.</summary>
    public static KnownFacts Facts { get; } = new(
        "facts of the news", Score, IsCeiling: true,
        "It knows what an article says, and counts what a summary says of it (the person, the thing and the outcome), less " +
        "what a summary says of other ones. A chosen summary says all three: against it nothing is better than a tie, a win " +
        "rate of one half.");

    /// <summary>Generates examples one by one. The first of them are the same for any <paramref name="count"/>.</summary>
    public static IEnumerable<PreferenceExample> Generate(int count, int seed)
    {
        var random = new SeededRandom(seed);
        for (var i = 0; i < count; i++)
        {
            var kind = random.Pick(Kinds);
            var news = new News(
                kind, random.Pick(People), random.Pick(kind.Things), random.Pick(kind.Outcomes), random.Pick(Heroes),
                random.Pick(Places));
            var text = $"{kind.Event.Replace("{Day}", random.Pick(Days))} {news.Outcome.Article} {random.Pick(Ends)}";
            var other = news with
            {
                Thing = random.PickOther(kind.Things, news.Thing),
                Outcome = random.PickOther(kind.Outcomes, news.Outcome),
            };
            yield return new PreferenceExample(
                $"TITLE: {news.Fill(kind.Title)}\nARTICLE: {news.Fill(text)}\nTL;DR:", " " + news.Summary, " " + other.Summary)
            {
                Source = $"generated:{i + 1}",
            };
        }
    }

    /// <summary>Facts of the article that a summary gives, at most 3, less other ones of such articles.</summary>
    private static double Score(string article, string summary)
    {
        var (told, said) = (new Mentions(article), new Mentions(summary));
        // An article names one of its kind's things and of all people, and tells one outcome in its own words.
        string[] right =
        [
            .. People.Where(told.Has), .. Kinds.SelectMany(kind => kind.Things).Where(told.Has),
            .. Kinds.SelectMany(kind => kind.Outcomes).Where(outcome => told.Has(Told(outcome, told)))
                .Select(outcome => outcome.Summary),
        ];
        var known = People.Concat(Kinds.SelectMany(kind => kind.Things.Concat(kind.Outcomes.Select(outcome => outcome.Summary))));
        return said.Count(right) - said.Count(known.Except(right));
    }

    private static string Told(Wording outcome, Mentions article) => outcome.Article
        .Replace("{person}", People.First(article.Has))
        .Replace("{hero}", Heroes.First(article.Has));

    private sealed record Wording(string Article, string Summary);

    private sealed record Kind(string Title, string Event, string[] Things, Wording[] Outcomes, string Form);

    private sealed record News(Kind Kind, string Person, string Thing, Wording Outcome, string Hero, string Place)
    {
        public string Summary => Fill(Kind.Form.Replace("{outcome}", Outcome.Summary));

        public string Fill(string text) => text
            .Replace("{person}", Person)
            .Replace("{thing}", Thing)
            .Replace("{hero}", Hero)
            .Replace("{place}", Place);
    }
}
