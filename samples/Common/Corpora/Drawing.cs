namespace Dpo.Samples;

/// <summary>
/// How the generated corpora draw. <see cref="Random"/> with a seed gives the same numbers on every platform; nothing else here
/// depends on one.
/// </summary>
internal static class Drawing
{
    public static T Pick<T>(this Random random, IReadOnlyList<T> choices) => choices[random.Next(choices.Count)];

    /// <summary>A choice that does not equal one already made.</summary>
    public static T PickOther<T>(this Random random, IReadOnlyList<T> choices, params ReadOnlySpan<T> made)
    {
        T choice;
        do
            choice = random.Pick(choices);
        while (made.Contains(choice));
        return choice;
    }

    public static bool Chance(this Random random, double probability) => random.NextDouble() < probability;
}
