using Dpo.Evaluation.Measuring;
using Dpo.Evaluation.Reporting;
using Dpo.Evaluation.Statistics;
using Dpo.Tests;

namespace Dpo.Evaluation.Tests.Measuring;

public sealed class WinRateTests : IDisposable
{
    private readonly TemporaryFolder folder = new();

    private static readonly WinRatePoint[] points =
    [
        Point("SFT", 0, 0, wins: 2, losses: 8), Point("SFT", 0, 1, wins: 1, losses: 9),
        Point("DPO", 50, 1, wins: 4, losses: 6), Point("DPO", 100, 0, wins: 6, losses: 2) with { Ties = 2 }, Point("DPO", 100, 1, wins: 5, losses: 5),
        Point("best of N", 0, 1, wins: 3, losses: 7) with { BestOf = 4 }, Point("best of N", 0, 1, wins: 7, losses: 3) with { BestOf = 64 },
    ];

    public void Dispose() => folder.Dispose();

    private string FilePath => folder.File("win-rates.jsonl");

    [Fact]
    public void A_rate_is_of_its_verdicts_and_ties_are_half()
    {
        var point = points[3] with { Unparsed = 5 };
        Assert.Equal(new WinRate(6, 2, 2), point.Counts);
        Assert.Equal(0.7, point.Rate!.Value, 12);
        Assert.Equal(10, point.Rate.Count);
        Assert.Equal(Interval.Wilson(0.7, 10), point.Rate.Interval);
        Assert.Null((point with { Wins = 0, Ties = 0, Losses = 0 }).Rate);
    }

    [Fact]
    public void Files_are_read_as_they_were_written()
    {
        WinRatePoint[] all = [.. points, points[0] with { LengthControlled = points[0].Rate, Digest = "ab", Unparsed = 1 }];
        WinRateFile.Write(FilePath, all);
        Assert.Equal(all, WinRateFile.Read(FilePath));
        Assert.Equal(
            """{"run":"dpo","method":"DPO","against":"the chosen ones","judge":"facts","prompts":"posts","temperature":0,"step":100,"best_of":null,"seed":3,"wins":6,"ties":2,"losses":2,"unparsed":0,"length_controlled":null,"digest":null}""",
            File.ReadAllLines(FilePath)[3]);
    }

    [Theory]
    [InlineData("\"wins\":6", "\"wins\":-1", "A count is below 0.")]
    [InlineData("\"wins\":6", "\"wins\":\"six\"", "wins")]
    [InlineData("\"wins\":6,", "", "wins")]
    [InlineData("\"wins\":6", "\"wins\":6,\"draws\":1", "draws")]
    [InlineData("\"best_of\":null", "\"best_of\":0", "The best is one of 1 or more.")]
    [InlineData("\"temperature\":0", "\"temperature\":\"NaN\"", "The temperature is no finite number of at least 0.")]
    [InlineData("\"digest\":null}", "\"dig", "")]
    public void A_damaged_line_is_refused(string from, string to, string message)
    {
        WinRateFile.Write(FilePath, points);
        var lines = File.ReadAllLines(FilePath);
        Assert.Contains(from, lines[3], StringComparison.Ordinal);
        lines[3] = lines[3].Replace(from, to, StringComparison.Ordinal);
        File.WriteAllLines(FilePath, lines);
        var error = Assert.Throws<InvalidInputException>(() => WinRateFile.Read(FilePath)).Message;
        Assert.StartsWith($"{FilePath}:4 ", error, StringComparison.Ordinal);
        Assert.Contains(message, error, StringComparison.Ordinal);
    }

    /// <summary>Of a run's steps the last over temperatures, all of them over training; of best-of-N the most over temperatures,
    /// all over N.</summary>
    [Fact]
    public void A_report_shows_rates_over_temperature_training_and_N()
    {
        WinRateFile.Write(FilePath, [.. points, points[0] with { Prompts = "news" }]);
        var page = File.ReadAllText(RunReport.Write([folder.Path], folder.Path));
        string[] Rows(string name) => File.ReadAllLines(folder.File($"report-figures/{name}.csv"));
        string Interval(int wins) => Ends(new WinRate(wins, 0, 10 - wins).TiesAsHalf().Interval);
        string Ends(Interval of) => FormattableString.Invariant($"{of.Low:r},{of.High:r}");

        Assert.Equal(
            [
                "series,temperature,win rate,low,high", $"SFT,0,0.2,{Interval(2)}", $"SFT,1,0.1,{Interval(1)}",
                $"DPO,0,0.7,{Interval(7)}", $"DPO,1,0.5,{Interval(5)}", $"\"best of N, N = 64\",1,0.7,{Interval(7)}",
            ],
            Rows("win-rates-1-temperature"));
        Assert.Equal(
            [$"\"DPO, temperature 1\",50,0.4,{Interval(4)}", $"\"DPO, temperature 1\",100,0.5,{Interval(5)}"], Rows("win-rates-1-step")[1..]);
        Assert.Equal(
            [$"\"best of N, temperature 1\",4,0.3,{Interval(3)}", $"\"best of N, temperature 1\",64,0.7,{Interval(7)}"],
            Rows("win-rates-1-best-of")[1..]);
        Assert.Contains("<h3>News against the chosen ones</h3>", page, StringComparison.Ordinal);
        Assert.Contains(
            "<td>DPO</td><td class=\"number\">0</td><td class=\"number\">100</td><td class=\"number\">0.700</td>", page, StringComparison.Ordinal);
        Assert.DoesNotContain("<td class=\"number\">50</td>", page, StringComparison.Ordinal); // of an earlier step
        Assert.Matches(@">\s*64\s*</text>", page); // the axis says N, not its logarithm

        // Another report leaves no figure of this one.
        WinRateFile.Write(FilePath, points[..1]);
        RunReport.Write([folder.Path], folder.Path);
        Assert.Equal(["win-rates-1-temperature.csv"], Directory.GetFiles(folder.File("report-figures"), "win-rates-*.csv").Select(Path.GetFileName));
    }

    private static WinRatePoint Point(string method, int step, double temperature, int wins, int losses) => new()
    {
        Run = method.ToLowerInvariant(),
        Method = method,
        Against = "the chosen ones",
        Judge = "facts",
        Prompts = "posts",
        Temperature = temperature,
        Step = step,
        Seed = 3,
        Wins = wins,
        Ties = 0,
        Losses = losses,
        Unparsed = 0,
    };
}
