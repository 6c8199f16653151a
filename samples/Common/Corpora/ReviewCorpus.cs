namespace Dpo.Samples;

/// <summary>
/// Short film reviews out of a small grammar, about half of them favourable: what the IMDb sample trains on where it is given no
/// data.
/// </summary>
/// <remarks>
/// <para>A review has two to four sentences of 25 to 45 words in all: an opening of nine or ten words that is drawn without
/// looking at the label, and two or three clauses about the acting, the music and so on, each strongly or mildly for or against
/// the film. A cut within the first eight words is therefore a prompt that leaves the sentiment open, as in the paper's
/// experiment.</para>
/// <para>At least one clause is strong and has the review's own sentiment. One review in four also has a mild clause of the other
/// sentiment, so that reviews differ by how favourable they are.</para>
/// </remarks>
internal static class ReviewCorpus
{
    private static readonly string[] Genres =
        ["crime drama", "family film", "love story", "spy film", "road movie", "ghost story", "costume drama", "war film"];
    private static readonly string[] Relatives =
        ["brother", "sister", "father", "mother", "neighbour", "teacher", "daughter", "cousin"];
    private static readonly string[] Days = ["last week", "on Sunday", "in April", "on Friday", "last night"];
    private static readonly string[] Places =
        ["at the cinema", "on the train", "with old friends", "on the sofa", "at my school"];
    private static readonly string[] Heroes =
        ["young woman", "retired teacher", "tired sailor", "small boy", "country doctor", "travelling baker", "night guard",
            "village girl"];
    private static readonly string[] Scenes =
        ["on a train", "in a garden", "by the sea", "at a station", "in a kitchen", "under a bridge"];
    private static readonly string[] Things = ["dog", "letter", "secret", "house", "map", "boat"];
    private static readonly string[] Pairs = ["two sisters", "two brothers", "three students", "four soldiers", "five friends"];
    private static readonly string[] Times = ["long winter", "single day", "hot summer", "school year", "week abroad"];

    private static readonly string[] Aspects =
        ["acting", "plot", "music", "ending", "dialogue", "photography", "script", "humour", "pacing", "direction"];
    private static readonly string[] Spans =
        ["from beginning to end", "all through the film", "from the first scene", "in every single scene"];
    private static readonly string[] Adverbs = ["rather", "fairly", "quite", "mostly"];

    private static readonly Wording Favourable = new(
        Strong: ["wonderful", "charming", "brilliant", "lovely", "delightful", "moving", "clever", "superb", "splendid",
            "thrilling"],
        Mild: ["nice", "decent", "pleasant", "fine", "likeable", "neat"],
        Verbs: ["loved", "enjoyed", "admired", "adored"],
        Effects: ["made every minute feel fresh, bright and alive", "gave the whole film a warm and gentle heart",
            "kept me happy in my seat until late", "made me smile long after I went home"],
        Because: "thanks to",
        Hours: ["simply flew by", "were a joy", "felt like minutes"],
        Verdicts: ["would gladly watch again", "will always remember fondly", "warmly recommend to everyone"],
        Limit: "better");

    private static readonly Wording Unfavourable = new(
        Strong: ["terrible", "dreadful", "boring", "dull", "tedious", "clumsy", "lifeless", "silly", "painful", "shallow"],
        Mild: ["weak", "flat", "thin", "uneven", "plain", "slow"],
        Verbs: ["hated", "disliked", "loathed", "despised"],
        Effects: ["made every minute feel stale, grey and empty", "gave the whole film a cold and hollow heart",
            "sent me to sleep long before the end", "made me sigh and look at my watch"],
        Because: "because of",
        Hours: ["simply dragged on", "were a chore", "felt like days"],
        Verdicts: ["would never watch again", "will try to forget quickly", "cannot recommend to anyone"],
        Limit: "worse");

    /// <summary>Generates reviews one by one. The first of them are the same for any <paramref name="count"/>.</summary>
    public static IEnumerable<Review> Generate(int count, int seed)
    {
        var random = new SeededRandom(seed);
        for (var i = 0; i < count; i++)
        {
            var positive = random.Chance(0.5);
            yield return new Review(Write(random, positive), positive, $"generated:{i + 1}");
        }
    }

    private static string Write(SeededRandom random, bool positive)
    {
        var (own, other) = positive ? (Favourable, Unfavourable) : (Unfavourable, Favourable);
        var text = Opening(random);
        var clauses = Clauses(random, own, other);
        for (var i = 0; i < clauses.Count; i++)
        {
            var joined = i == 0 && random.Chance(0.4);
            text += joined ? $", and {clauses[i]}" : $". {Capital(clauses[i])}";
        }
        return text + ".";
    }

    /// <summary>Nine or ten words that say nothing about how the film is.</summary>
    private static string Opening(SeededRandom random) => random.Next(6) switch
    {
        0 => $"{Capital(random.Pick(Days))} {random.Pick(["we", "I"])} {random.Pick(["watched", "saw"])} this " +
            $"{random.Pick(Genres)} {random.Pick(Places)}",
        1 => $"I saw this {random.Pick(Genres)} with my {random.Pick(Relatives)} {random.Pick(Days)}",
        2 => $"The film opens with a {random.Pick(Heroes)} {random.Pick(Scenes)}",
        3 => $"This {random.Pick(Genres)} follows {random.Pick(Pairs)} through a {random.Pick(Times)}",
        4 => $"The story is about a {random.Pick(Heroes)} and a {random.Pick(Things)}",
        _ => $"My {random.Pick(Relatives)} lent me this {random.Pick(Genres)} {random.Pick(Days)}",
    };

    private static List<string> Clauses(SeededRandom random, Wording own, Wording other)
    {
        var count = random.Next(2, 4);
        var strong = random.Next(count);
        var opposed = random.Chance(0.25) ? random.Next(count - 1) : -1;
        // Never the strong clause, which keeps the review's sentiment out of doubt.
        if (opposed >= strong)
            opposed++;
        var clauses = new List<string>();
        List<string> aspects = [];
        for (var i = 0; i < count; i++)
        {
            var aspect = random.PickOther(Aspects, [.. aspects]);
            aspects.Add(aspect);
            if (i == opposed)
                clauses.Add((i > 0 ? "still, " : "") + Mild(random, other, aspect));
            else if (i == strong || random.Chance(0.6))
                clauses.Add(i == count - 1 && random.Chance(0.4) ? Verdict(random, own) : Strong(random, own, aspect));
            else
                clauses.Add(Mild(random, own, aspect));
        }
        return clauses;
    }

    private static string Strong(SeededRandom random, Wording words, string aspect)
    {
        var first = random.Pick(words.Strong);
        var second = random.PickOther(words.Strong, first);
        return random.Next(4) switch
        {
            0 => $"the {aspect} was {first} and {second} {random.Pick(Spans)}",
            1 => $"the {aspect} {random.Pick(words.Effects)}",
            2 => $"I {random.Pick(words.Verbs)} the {aspect}, which was {first}, {second} and " +
                $"{random.PickOther(words.Strong, first, second)}",
            _ => $"{words.Because} the {first} {aspect}, the two hours {random.Pick(words.Hours)}",
        };
    }

    private static string Verdict(SeededRandom random, Wording words) =>
        $"it is a {random.Pick(words.Strong)} film that I {random.Pick(words.Verdicts)}";

    private static string Mild(SeededRandom random, Wording words, string aspect)
    {
        var adverb = random.Pick(Adverbs);
        var first = random.Pick(words.Mild);
        return random.Next(3) switch
        {
            0 => $"the {aspect} was {adverb} {first} and {random.PickOther(Adverbs, adverb)} " +
                $"{random.PickOther(words.Mild, first)} in places",
            1 => $"there were moments when the {aspect} felt {adverb} {first}",
            _ => $"I found the {aspect} {adverb} {first}, though I have seen {words.Limit}",
        };
    }

    private static string Capital(string text) => char.ToUpperInvariant(text[0]) + text[1..];

    /// <summary>What a favourable and an unfavourable review say differently.</summary>
    private sealed record Wording(
        string[] Strong, string[] Mild, string[] Verbs, string[] Effects,
        string Because, string[] Hours, string[] Verdicts, string Limit);
}
