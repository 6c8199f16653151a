namespace Dpo.Baselines;

/// <summary>What of a completion is scored: all up to the first token, from a place on, that is a certain text (Ziegler et al.
/// 2019: the first "." from the 16th token on). Updates are over all of its tokens, as there.</summary>
/// <param name="Text">The token's text, such as <c>"."</c>; one character or more.</param>
/// <param name="From">The first place, counted from 0, at which the token ends what is scored; 0 or more.</param>
public sealed record ScoreCut(string Text, int From)
{
    /// <summary>Cuts a completion.</summary>
    /// <param name="ids">Its ids.</param>
    /// <param name="from">The first place that counts.</param>
    /// <param name="isEnd">Whether an id ends it.</param>
    /// <returns>The ids up to and with the one that ends it, or all of them; and whether one does.</returns>
    internal static (IReadOnlyList<int> Ids, bool IsEnded) Of(IReadOnlyList<int> ids, int from, Func<int, bool> isEnd)
    {
        for (var place = from; place < ids.Count; place++)
        {
            if (isEnd(ids[place]))
                return ([.. ids.Take(place + 1)], true);
        }
        return (ids, false);
    }
}
