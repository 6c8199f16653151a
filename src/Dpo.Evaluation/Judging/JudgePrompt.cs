using System.Text.RegularExpressions;

namespace Dpo.Evaluation.Judging;

/// <summary>
/// How a language model is asked to compare two completions, and how its answer is read. Purpose and form are those of the
/// paper's prompts for GPT-4 (Rafailov et al. 2023, Appendix C); the words are not.
/// </summary>
/// <remarks>The answer asked for is a sentence that compares the two, and then a line with <c>A</c> or <c>B</c>, in this order,
/// so that the choice follows from the comparison. Anything else is no verdict.</remarks>
public sealed partial record JudgePrompt
{
    /// <summary>Creates a prompt of your own.</summary>
    /// <param name="name">What people know it by.</param>
    /// <param name="template">What is asked, without the form of the answer, which is put behind it. <c>{prompt}</c>,
    /// <c>{first}</c> and <c>{second}</c> stand for the comparison's texts; call the last two A and B.</param>
    /// <exception cref="ArgumentException">One of the three is missing.</exception>
    public JudgePrompt(string name, string template)
    {
        ArgumentException.ThrowIfNullOrEmpty(name);
        ArgumentNullException.ThrowIfNull(template);
        foreach (var place in (string[])["{prompt}", "{first}", "{second}"])
        {
            if (!template.Contains(place, StringComparison.Ordinal))
                throw new ArgumentException(
                    $"The judge's prompt '{name}' has no {place}; say where that text goes.", nameof(template));
        }
        (Name, Template) = (name, template);
    }

    /// <summary>Which summary of a forum post tells more of what matters (the paper's S).</summary>
    public static JudgePrompt Summary { get; } = new(
        "summary",
        """
        Here are a forum post and two summaries of it, A and B.
        Choose the one from which somebody who has not read the post learns more of what matters in it.

        Post:
        {prompt}

        Summary A:
        {first}

        Summary B:
        {second}
        """);

    /// <summary>The same, where what does not matter counts against a summary (the paper's C): without that, judges prefer long
    /// summaries more than people do.</summary>
    public static JudgePrompt ConciseSummary { get; } = new(
        "concise summary",
        """
        Here are a forum post and two summaries of it, A and B.
        Choose the one that tells what matters in the post in fewer words.
        Leaving out a main point is a fault, and so are minor points, repetitions and filler.

        Post:
        {prompt}

        Summary A:
        {first}

        Summary B:
        {second}
        """);

    /// <summary>Which reply in a dialogue helps more (the paper's for Helpful-Harmless).</summary>
    public static JudgePrompt Helpfulness { get; } = new(
        "helpfulness",
        """
        Here are a person's conversation with an assistant, up to what the person wrote last, and two replies to that, A and B.
        Choose the one that is of more use to that person.

        Conversation:
        {prompt}

        Reply A:
        {first}

        Reply B:
        {second}
        """);

    /// <summary>Which summary of a news article is better (the paper's, out of distribution).</summary>
    public static JudgePrompt NewsSummary { get; } = new(
        "news summary",
        """
        Here are a news article and two summaries of it, A and B.
        Choose the one that reports the article's main facts better, and leaves out what a reader does not need.

        Article:
        {prompt}

        Summary A:
        {first}

        Summary B:
        {second}
        """);

    /// <summary>What people know it by.</summary>
    public string Name { get; }

    /// <summary>What is asked, with the places of the texts.</summary>
    public string Template { get; }

    /// <summary>Whether the judge may answer that neither is better; it may not by default, as in the paper.</summary>
    public bool AllowsTies { get; init; }

    /// <summary>The form of the answer, in words.</summary>
    internal string AnswerForm =>
        $"""
        Answer with these two lines and nothing else:
        Comparison: <a single sentence: how the two differ in this, and which is better for it>
        Verdict: <{(AllowsTies ? "A, B, or tie where neither is better" : "A or B")}>
        """;

    /// <summary>What is asked of a comparison. Texts that hold a place's name themselves stay as they are.</summary>
    internal string Write(Comparison comparison)
    {
        var asked = Place().Replace(Template, place => place.Value switch
        {
            "{prompt}" => comparison.Prompt,
            "{first}" => comparison.First,
            _ => comparison.Second,
        });
        return $"{asked}\n\n{AnswerForm}";
    }

    /// <summary>Reads an answer.</summary>
    /// <returns>Null where it is not of the form that was asked for: a comparison, and one verdict in the last line.</returns>
    internal Judgement? Read(string answer)
    {
        string[] lines = [.. answer.Split('\n').Select(line => line.Trim()).Where(line => line.Length > 0)];
        if (lines.Count(line => VerdictLine().IsMatch(line)) != 1 || VerdictLine().Match(lines[^1]) is not { Success: true } last)
            return null;
        var explanation = ComparisonLabel().Replace(string.Join('\n', lines[..^1]), "").Trim();
        Verdict? verdict = last.Groups["choice"].Value switch
        {
            "A" => Verdict.Win,
            "B" => Verdict.Loss,
            _ when AllowsTies => Verdict.Tie,
            _ => null,
        };
        return verdict is null || explanation.Length == 0 ? null : new Judgement(verdict, explanation);
    }

    [GeneratedRegex(@"\{(prompt|first|second)\}")]
    private static partial Regex Place();

    // Models set words in bold, in quotes or in brackets as they like; that changes nothing of what they say.
    [GeneratedRegex(@"^[*_#`\s]*[Vv]erdict[*_`\s]*:[*_`""'(\[<\s]*(?<choice>A|B|[Tt]ie)[*_`""')\]>\s]*\.?[*_`\s]*$")]
    private static partial Regex VerdictLine();

    [GeneratedRegex(@"^[*_#`\s]*[Cc]omparison[*_`\s]*:[*_`\s]*")]
    private static partial Regex ComparisonLabel();
}
