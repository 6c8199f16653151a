namespace Dpo.Baselines;

/// <summary>
/// Asks a base model by a template and examples of how it is filled in: the paper's zero-shot and few-shot baselines. What
/// <see cref="Render"/> gives is a prompt to sample from, until <see cref="End"/>.
/// </summary>
/// <example>
/// <code>
/// var ask = new FewShotPrompt("Post: {prompt}\nTL;DR:{completion}\n\n", [("I lost my keys …", " Lost keys.")]);
/// Sampler.Sample(model, tokenizer, [ask.Render(post)], new SamplingOptions { StopStrings = [ask.End] });
/// </code>
/// </example>
public sealed class FewShotPrompt
{
    private const string Prompt = "{prompt}", Completion = "{completion}";

    private readonly string shots;
    private readonly string before;

    /// <summary>Makes it.</summary>
    /// <param name="template">A text with <c>{prompt}</c>, and behind it <c>{completion}</c> with something behind that, each
    /// once.</param>
    /// <param name="shots">Prompts with their completions, in the order in which they are shown; none for zero-shot.</param>
    /// <exception cref="ArgumentException">The template lacks one of the two, or nothing ends a completion.</exception>
    public FewShotPrompt(string template, IReadOnlyList<(string Prompt, string Completion)>? shots = null)
    {
        ArgumentNullException.ThrowIfNull(template);
        if (template.Split(Prompt) is not [_, var behind] || behind.Split(Completion) is not [_, { Length: > 0 } end])
            throw new ArgumentException(
                $"A template has {Prompt} and, behind it, {Completion}, each once, and ends with what ends a completion.",
                nameof(template));
        (before, End) = (template[..template.IndexOf(Completion, StringComparison.Ordinal)], end);
        this.shots = string.Concat((shots ?? []).Select(shot => Filled(shot.Prompt) + shot.Completion + end));
    }

    /// <summary>What stands behind a completion, and ends it.</summary>
    public string End { get; }

    /// <summary>The examples, and the template up to the completion of a prompt.</summary>
    public string Render(string prompt) => shots + Filled(prompt ?? throw new ArgumentNullException(nameof(prompt)));

    private string Filled(string prompt) => before.Replace(Prompt, prompt, StringComparison.Ordinal);
}
