namespace Dpo.Samples;

/// <summary>
/// Posts about everyday troubles with a good and a bad summary, in the prompt format of <see cref="SummaryComparisons"/>: what
/// the TlDr sample trains on where it is given no data.
/// </summary>
/// <remarks>
/// A post tells in three to five sentences who did what, what came of it, and what its writer wants to know. The chosen summary
/// says so in one sentence. The rejected one says it of another person, another thing or another outcome, belongs to another
/// post, or is too vague to say anything: a fifth of the cases each.
/// </remarks>
internal static class PostCorpus
{
    private static readonly Person[] People =
    [
        new("sister", "she", "her"), new("brother", "he", "him"), new("neighbour", "she", "her"), new("uncle", "he", "him"),
        new("aunt", "she", "her"), new("cousin", "he", "him"), new("roommate", "she", "her"), new("friend", "he", "him"),
        new("girlfriend", "she", "her"), new("boyfriend", "he", "him"),
    ];

    private static readonly Trouble[] Troubles =
    [
        new(["relationships", "advice", "family"], "My {person} and my {thing}",
            "{When} my {person} borrowed my {thing} without asking.",
            ["bike", "tent", "guitar", "camera", "ladder", "laptop", "coat", "drill"],
            [new("When I asked for it, {she} told me that {she} had lost it.", "lost it"),
                new("It came back broken, and {she} said nothing about it.", "broke it"),
                new("I found out that {she} had sold it to a stranger.", "sold it"),
                new("Now {she} says that it was a gift and keeps it.", "will not give it back")],
            "My {person} borrowed my {thing} and {outcome}",
            [new("Should I ask {her} to pay?", "should I ask {her} to pay"),
                new("Should I forget about it?", "should I forget about it"),
                new("How do I bring it up without a fight?", "how do I bring it up")]),
        new(["advice", "roommates", "offmychest"], "I cannot stand the {thing} any more",
            "{When} my {person} moved in with me, and the {thing} began.",
            ["loud music", "late parties", "cooking smells", "dirty dishes", "drum lessons", "phone calls"],
            [new("I asked {her} twice to stop, and {she} only laughed.", "only laughs"),
                new("When I complained, {she} stopped speaking to me.", "stopped speaking to me"),
                new("I wrote {her} a note, and {she} threw it away.", "threw my note away"),
                new("Each time we talk about it, {she} promises to change and never does.", "never changes")],
            "I am tired of the {thing} of my {person}, who {outcome}",
            [new("Should I move out?", "should I move out"), new("Should I ask {her} to leave?", "should I ask {her} to leave"),
                new("How do I stay calm?", "how do I stay calm")]),
        new(["relationships", "family", "jobs"], "I may miss the {thing}",
            "{When} I promised my {person} to come to the {thing}.",
            ["wedding", "birthday", "concert", "school play", "house party", "football match", "funeral"],
            [new("Now I have to work on that day.", "I have to work"), new("Now I have an exam on that day.", "I have an exam"),
                new("Now my train has been cancelled.", "my train was cancelled"),
                new("Now I am ill and have to stay in bed.", "I am ill")],
            "I promised my {person} to come to the {thing}, but {outcome}",
            [new("Should I tell {her} now?", "should I tell {her} now"), new("Should I go anyway?", "should I go anyway"),
                new("How do I make it up to {her}?", "how do I make it up to {her}")]),
    ];

    private static readonly string[] Times = ["Last week", "In March", "A month ago", "On my birthday", "Two days ago"];

    private static readonly string[] Beginnings =
        ["I am a student and live in a small town.", "This is my first post here.", "I am sorry that this is long.",
            "I do not know whom else to ask."];

    private static readonly string[] Feelings =
        ["I have not slept well since then.", "We have always been close.", "I feel bad about all of it.",
            "My friends tell me to wait."];

    private static readonly string[] Vague =
        ["Something happened and I do not know what to do.", "I have a problem with somebody.",
            "Life is hard and I need some advice.",
            "It is a long story about me and other people.", "What would you do if you were me?"];

    /// <summary>A judge of summaries that knows the posts.</summary>
    public static KnownFacts Facts { get; } = new(
        "facts of the post", Score, IsCeiling: true,
        "It knows what a post says, and counts what a summary says of it (the person, the thing, the outcome and the " +
        "question), less what a summary says of other ones. A chosen summary says all four: against it nothing is better than " +
        "a tie, a win rate of one half.");

    /// <summary>Generates examples one by one. The first of them are the same for any <paramref name="count"/>.</summary>
    public static IEnumerable<PreferenceExample> Generate(int count, int seed)
    {
        var random = new SeededRandom(seed);
        for (var i = 0; i < count; i++)
        {
            var story = Draw(random);
            yield return new PreferenceExample(Prompt(random, story), Summary(story), Rejected(random, story))
            {
                Source = $"generated:{i + 1}",
            };
        }
    }

    /// <summary>Facts of the post that a summary gives, at most 4, less other ones of such posts.</summary>
    private static double Score(string post, string summary)
    {
        var (story, said) = (Read(post), new Mentions(summary));
        string[] right =
        [
            story.Person.Name, story.Thing, Fill(story.Outcome.Summary, story), Fill(story.Question.Summary, story),
        ];
        var known = People.Select(person => person.Name)
            .Concat(Troubles.SelectMany(trouble => trouble.Things))
            .Concat(Troubles.SelectMany(trouble => trouble.Outcomes.Concat(trouble.Questions))
                .SelectMany(wording => People.Select(person => Fill(wording.Summary, story with { Person = person }))))
            .Distinct();
        return said.Count(right) - said.Count(known.Except(right));
    }

    /// <summary>The story that a prompt was made of.</summary>
    private static Story Read(string post) =>
        (from trouble in Troubles
         from person in People
         from thing in trouble.Things
         let begun = new Story(trouble, person, thing, trouble.Outcomes[0], trouble.Questions[0])
         where post.Contains(Fill(trouble.Event.Replace("{When}", ""), begun), StringComparison.Ordinal)
         from outcome in trouble.Outcomes
         where post.Contains(Fill(outcome.Post, begun), StringComparison.Ordinal)
         from question in trouble.Questions
         where post.EndsWith($"{Fill(question.Post, begun)}\nTL;DR:", StringComparison.Ordinal)
         select begun with { Outcome = outcome, Question = question }).First();

    private static Story Draw(SeededRandom random)
    {
        var trouble = random.Pick(Troubles);
        return new Story(
            trouble, random.Pick(People), random.Pick(trouble.Things), random.Pick(trouble.Outcomes),
            random.Pick(trouble.Questions));
    }

    // The format is SummaryComparisons' own; a test reads rows with these fields and compares.
    private static string Prompt(SeededRandom random, Story story)
    {
        List<string> post = [story.Trouble.Event.Replace("{When}", random.Pick(Times)), story.Outcome.Post];
        if (random.Chance(0.5))
            post.Insert(0, random.Pick(Beginnings));
        if (random.Chance(0.5))
            post.Add(random.Pick(Feelings));
        post.Add(story.Question.Post);
        var title = Fill(story.Trouble.Title, story);
        var text = Fill(string.Join(' ', post), story);
        return $"SUBREDDIT: r/{random.Pick(story.Trouble.Subreddits)}\nTITLE: {title}\nPOST: {text}\nTL;DR:";
    }

    private static string Summary(Story story) =>
        " " + Fill($"{story.Trouble.Summary.Replace("{outcome}", story.Outcome.Summary)}; {story.Question.Summary}?", story);

    private static string Rejected(SeededRandom random, Story story) => random.Next(5) switch
    {
        0 => Summary(story with { Person = random.PickOther(People, story.Person) }),
        1 => Summary(story with { Thing = random.PickOther(story.Trouble.Things, story.Thing) }),
        2 => Summary(story with { Outcome = random.PickOther(story.Trouble.Outcomes, story.Outcome) }),
        3 => Summary(Draw(random) with { Person = random.PickOther(People, story.Person) }),
        _ => " " + random.Pick(Vague),
    };

    private static string Fill(string text, Story story) => text
        .Replace("{person}", story.Person.Name)
        .Replace("{thing}", story.Thing)
        .Replace("{she}", story.Person.She)
        .Replace("{her}", story.Person.Her);

    private sealed record Person(string Name, string She, string Her);

    /// <summary>How a post and how its summary puts the same thing.</summary>
    private sealed record Wording(string Post, string Summary);

    private sealed record Trouble(
        string[] Subreddits, string Title, string Event, string[] Things, Wording[] Outcomes, string Summary,
        Wording[] Questions);

    private sealed record Story(Trouble Trouble, Person Person, string Thing, Wording Outcome, Wording Question);
}
