namespace Dpo.Samples;

/// <summary>
/// Short dialogues in the shape of Anthropic's HH, with a helpful and an unhelpful answer: what the HelpfulHarmless sample trains
/// on where it is given no data.
/// </summary>
/// <remarks>
/// A prompt is one question, or a first exchange and a question, and ends in <c>"\n\nAssistant:"</c>; an answer begins with a
/// space. The chosen answer gives one or two pieces of advice on what was asked. The rejected one evades (in two cases of five),
/// is rude, or gives good advice on something else (three in ten each), so that what is to be learnt is partly manner and partly
/// matter.
/// </remarks>
internal static class DialogueCorpus
{
    private static readonly Topic[] Topics =
    [
        new("keep bread fresh", "bread",
            "Wrap the bread in a clean cloth.", "Keep the loaf in a wooden box.", "Freeze the slices that you cannot eat soon."),
        new("make a good cup of tea", "tea",
            "Warm the pot with hot water first.", "Use one spoon of leaves for each cup.", "Let the tea stand for four minutes."),
        new("boil an egg", "eggs",
            "Put the egg into boiling water for seven minutes.", "Cool the egg under cold water.",
            "Use an egg that is a few days old."),
        new("cook rice", "rice",
            "Wash the rice until the water is clear.", "Take two cups of water for one cup of rice.",
            "Keep the lid on until the rice is soft."),
        new("grow tomatoes", "tomatoes",
            "Give the plants a warm place in the sun.", "Water the roots and not the leaves.",
            "Tie the plants to a strong stick."),
        new("water my plants on holiday", "plants",
            "Ask a neighbour to come twice a week.", "Put a bottle of water upside down into each pot.",
            "Move the pots out of the sun."),
        new("clean my windows", "windows",
            "Wash the glass with warm water and vinegar.", "Dry the glass with old newspaper.",
            "Choose a cloudy day, so that the glass dries slowly."),
        new("repair a flat tyre", "tyres",
            "Take out the tube and find the hole under water.", "Glue a patch over the hole.",
            "Pump up the tyre and listen for air."),
        new("dry wet shoes", "shoes",
            "Fill the shoes with paper.", "Change the paper every hour.", "Keep leather away from the fire."),
        new("sleep better", "sleep",
            "Go to bed at the same hour every night.", "Keep the bedroom cool and dark.", "Drink no coffee after lunch."),
        new("learn French", "French",
            "Learn ten new words every day.", "Listen to French songs and sing along.", "Find somebody to speak French with."),
        new("save money", "money",
            "Write down all that you spend.", "Put some of your pay aside on the first day of the month.",
            "Make a list before you go to the shops."),
        new("pack a suitcase", "suitcases",
            "Roll your shirts to save space.", "Put heavy things at the bottom.", "Write down what you need the day before."),
        new("paint a wall", "paint",
            "Cover the floor with old sheets.", "Paint the corners with a small brush first.",
            "Let the first coat dry for a day."),
        new("remember names", "names",
            "Say the name aloud when you hear it.", "Think of a picture for each name.", "Write the names down in the evening."),
        new("train my puppy", "puppies",
            "Give the puppy a treat when it listens.", "Train for five minutes at a time.",
            "Use the same short words every time."),
        new("calm a sore throat", "throats",
            "Drink warm water with honey.", "Rest your voice for a day.", "See a doctor if it lasts for a week."),
        new("plan a long walk", "walking",
            "Look at the weather and the map first.", "Take water and a warm coat.", "Tell a friend where you are going."),
        new("write a thank you letter", "letters",
            "Say what the gift was and how you use it.", "Write the letter by hand.", "Send the letter within a week."),
        new("read more books", "books",
            "Read ten pages before you sleep.", "Carry a small book in your bag.", "Leave your phone in another room."),
    ];

    private static readonly string[] Questions =
        ["How do I {0}?", "What is the best way to {0}?", "Can you tell me how to {0}?", "I want to {0}. Any ideas?",
            "Do you know how to {0}?",
            "I have never been able to {0}. What should I do?"];

    private static readonly string[] Greetings =
        ["Hello, can you help me?", "Hi, I have a question.", "Good morning, are you there?"];
    private static readonly string[] Replies = ["Of course. What is it?", "Yes, I am happy to help.", "Hello. Please ask."];

    private static readonly string[] Leads =
        ["Yes, that is easy.", "Good question.", "I am glad to help.", "Here is what works well."];

    private static readonly string[] Evasions =
        ["I am not sure.", "It depends.", "That is hard to say.", "Maybe somebody else knows.", "People do that in many ways.",
            "I would rather talk about the weather.",
            "You could look it up somewhere.", "There is a lot to say about {0}."];

    private static readonly string[] Insults =
        ["What a silly question.", "Do not waste my time.", "Everybody knows about {0}.", "You will fail anyway.",
            "Why should I care about {0}?", "Stop asking me.",
            "Work it out yourself.", "You must be lazy."];

    /// <summary>A judge of answers that knows the questions.</summary>
    public static KnownFacts Facts { get; } = new(
        "advice that was asked for", Score, IsCeiling: false,
        "It knows what was asked, and counts the pieces of advice on it that an answer gives, less evasions, insults and " +
        "advice on something else. A chosen answer gives one piece or two: one that gives more of them is better than it.");

    /// <summary>Generates examples one by one. The first of them are the same for any <paramref name="count"/>.</summary>
    public static IEnumerable<PreferenceExample> Generate(int count, int seed)
    {
        var random = new SeededRandom(seed);
        for (var i = 0; i < count; i++)
        {
            var topic = random.Pick(Topics);
            yield return new PreferenceExample(Prompt(random, topic), Helpful(random, topic), Unhelpful(random, topic))
            {
                Source = $"generated:{i + 1}",
            };
        }
    }

    /// <summary>Pieces of advice on what was asked last, less all that is of no help.</summary>
    private static double Score(string prompt, string answer)
    {
        var (asked, said) = (prompt[prompt.LastIndexOf("\n\nHuman:", StringComparison.Ordinal)..], new Mentions(answer));
        var topic = Topics.First(topic => asked.Contains(topic.Goal, StringComparison.Ordinal));
        var unhelpful = Evasions.Concat(Insults).SelectMany(sentence => Topics.Select(each => string.Format(sentence, each.Name)))
            .Concat(Topics.Except([topic]).SelectMany(other => other.Advice)).Distinct();
        return said.Count(topic.Advice) - said.Count(unhelpful);
    }

    private static string Prompt(SeededRandom random, Topic topic)
    {
        var question = string.Format(random.Pick(Questions), topic.Goal);
        return random.Next(4) switch
        {
            0 => $"{Turn(random.Pick(Greetings))} {random.Pick(Replies)}{Turn(question)}",
            1 => Earlier(random, topic) + Turn("Thank you. " + question),
            _ => Turn(question),
        };
    }

    private static string Earlier(SeededRandom random, Topic topic)
    {
        var other = random.PickOther(Topics, topic);
        return $"{Turn(string.Format(random.Pick(Questions), other.Goal))} {random.Pick(other.Advice)}";
    }

    private static string Turn(string human) => $"\n\nHuman: {human}\n\nAssistant:";

    private static string Helpful(SeededRandom random, Topic topic)
    {
        var first = random.Pick(topic.Advice);
        var lead = random.Chance(0.6) ? " " + random.Pick(Leads) : "";
        return lead + " " + first + (random.Chance(0.6) ? " " + random.PickOther(topic.Advice, first) : "");
    }

    private static string Unhelpful(SeededRandom random, Topic topic) => random.Next(10) switch
    {
        < 4 => Two(random, Evasions, topic),
        < 7 => Two(random, Insults, topic),
        _ => Helpful(random, random.PickOther(Topics, topic)),
    };

    private static string Two(SeededRandom random, string[] sentences, Topic topic)
    {
        var first = random.Pick(sentences);
        return " " + string.Format($"{first} {random.PickOther(sentences, first)}", topic.Name);
    }

    /// <summary>Something people ask about: what they want to do, what it is about, and what to tell them.</summary>
    private sealed record Topic(string Goal, string Name, params string[] Advice);
}
