namespace Dpo.Generation;

/// <summary>A prompt that is continued.</summary>
/// <param name="index">Its place among the prompts.</param>
/// <param name="tokens">Its tokens.</param>
internal class SampledPrompt(int index, IReadOnlyList<int> tokens)
{
    /// <summary>Its place among the prompts.</summary>
    public int Index => index;

    /// <summary>Its tokens.</summary>
    public IReadOnlyList<int> Tokens => tokens;
}
