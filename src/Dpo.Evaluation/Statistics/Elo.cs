namespace Dpo.Evaluation.Statistics;

/// <summary>Elo's ratings, game by game: what each game says moves the two ratings a little. They follow from the order of the
/// games, and have no standard errors; where all games are there at once, <see cref="BradleyTerry"/> says more.</summary>
public static class Elo
{
    /// <summary>Goes through games in their order; all models begin with 1000.</summary>
    /// <param name="games">The games.</param>
    /// <param name="step">K, the most that a game moves a rating by; above 0. 4 is the usual of chat arenas, 32 that of
    /// chess.</param>
    /// <returns>The rating of every model, in the order in which they first play.</returns>
    public static IReadOnlyDictionary<string, double> Ratings(IEnumerable<Game> games, double step = 4)
    {
        ArgumentNullException.ThrowIfNull(games);
        if (!(step > 0 && double.IsFinite(step)))
            throw new ArgumentOutOfRangeException(nameof(step), step, "A rating moves by a finite number above 0.");
        var ratings = new OrderedDictionary<string, double>(StringComparer.Ordinal);
        foreach (var game in games)
        {
            var (first, second) = (ratings.GetValueOrDefault(game.First, 1000), ratings.GetValueOrDefault(game.Second, 1000));
            var moved = step * (game.Score - (1 / (1 + Math.Pow(10, (second - first) / 400))));
            ratings[game.First] = first + moved;
            ratings[game.Second] = second - moved;
        }
        return ratings;
    }
}
