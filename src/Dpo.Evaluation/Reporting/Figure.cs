using System.Text;
using System.Text.RegularExpressions;
using System.Xml.Linq;
using Dpo.Files;
using Dpo.Training.Metrics;
using ScottPlot;
using ScottPlot.Panels;

namespace Dpo.Evaluation.Reporting;

/// <summary>A figure of lines and points, drawn by ScottPlot, with the numbers that it shows.</summary>
internal sealed partial class Figure : IDisposable
{
    private const int Width = 720, PlainHeight = 440;

    // Of a legend as it is drawn: a row, a letter on average, and what an entry has beside its letters.
    private const float LegendRow = 20, LegendLetter = 6.6f, LegendSymbol = 60;

    // More cannot be told apart, and their legend would take the figure's place.
    private const int MostSeries = 12;

    // Okabe and Ito's colours, which people who see few colours can tell apart.
    private static readonly Color[] colors =
    [
        new(0x00, 0x72, 0xB2), new(0xD5, 0x5E, 0x00), new(0x00, 0x9E, 0x73), new(0xCC, 0x79, 0xA7),
        new(0xE6, 0x9F, 0x00), new(0x56, 0xB4, 0xE9), new(0x00, 0x00, 0x00), new(0x8C, 0x7A, 0x00),
    ];

    // One fewer than colours, so that series beyond those have a shape of their own with their colour.
    private static readonly MarkerShape[] shapes =
    [
        MarkerShape.FilledCircle, MarkerShape.FilledSquare, MarkerShape.FilledTriangleUp, MarkerShape.FilledDiamond,
        MarkerShape.OpenCircle, MarkerShape.OpenSquare, MarkerShape.OpenTriangleUp,
    ];

    // Of lines beyond the colours.
    private static readonly LinePattern[] patterns = [LinePattern.Solid, LinePattern.Dashed, LinePattern.Dotted];

    private readonly Plot plot = new();
    private readonly LegendPanel legendPanel;
    private readonly string caption;
    private readonly List<string[]> numbers;
    private readonly List<string> legend = [];
    private readonly SortedSet<double> places = []; // marked on an axis of doublings
    private int height = PlainHeight;

    /// <summary>Begins a figure without anything in it.</summary>
    /// <param name="name">The name of its files, and what its parts are known by in a page.</param>
    /// <param name="caption">What a reader is told of it.</param>
    /// <param name="across">The horizontal axis.</param>
    /// <param name="up">The vertical axis.</param>
    public Figure(string name, string caption, string across, string up)
    {
        (Name, this.caption) = (name, caption);
        numbers = [["series", Csv.Field(across), Csv.Field(up)]];
        plot.XLabel(across);
        plot.YLabel(up);
        plot.Axes.Bottom.Label.Bold = plot.Axes.Left.Label.Bold = false;
        legendPanel = plot.ShowLegend(Edge.Bottom);
    }

    /// <summary>The name of its files.</summary>
    public string Name { get; }

    /// <summary>What a reader is told of it.</summary>
    public string Caption => legend.Count <= MostSeries ? caption
        : $"{caption} The first {MostSeries} of {legend.Count} series are drawn; {RunReport.FiguresName}/{Name}.csv has all.";

    /// <summary>Whether an equal way to the right is a doubling; what is drawn by <see cref="Intervals"/> has its places on the
    /// axis then.</summary>
    public bool IsInDoublings { get; init; }

    /// <summary>Whether anything was drawn.</summary>
    public bool IsEmpty => numbers.Count == 1;

    /// <summary>Adds a line through points, in their order. Like any series beyond the first 12 it is among the numbers
    /// only.</summary>
    public void Line(string series, IReadOnlyList<(double X, double Y)> points)
    {
        if (!Take(series, points.Select(point => (double[])[point.X, point.Y])))
            return;
        Coordinates[] places = [.. points.Select(point => new Coordinates(point.X, point.Y))];
        var line = plot.Add.ScatterLine(places, ColorOf(series));
        line.LineWidth = 1.5f;
        line.LinePattern = patterns[legend.IndexOf(series) / colors.Length % patterns.Length];
        line.MarkerSize = points.Count == 1 ? 7 : 0; // a single point makes no line
        line.LegendText = series;
    }

    /// <summary>Adds a line through points with their intervals.</summary>
    /// <param name="series">What it is called.</param>
    /// <param name="points">The points, from left to right, with the ends of their intervals.</param>
    public void Intervals(string series, IReadOnlyList<(double X, double Y, double Low, double High)> points)
    {
        numbers[0] = [.. numbers[0][..3], "low", "high"];
        if (!Take(series, points.Select(point => (double[])[point.X, point.Y, point.Low, point.High])))
            return;
        var color = ColorOf(series);
        Coordinates[] at = [.. points.Select(point => new Coordinates(Across(point.X), point.Y))];
        var line = plot.Add.Scatter(at, color);
        line.LineWidth = 1.5f;
        line.MarkerShape = shapes[legend.IndexOf(series) % shapes.Length];
        line.MarkerSize = 7;
        line.LegendText = series;
        foreach (var (x, _, low, high) in points)
            plot.Add.Line(Across(x), low, Across(x), high).Color = color.WithAlpha(110);
        if (IsInDoublings)
            places.UnionWith(points.Select(point => point.X));
    }

    /// <summary>Adds a dashed level.</summary>
    public void Level(double y)
    {
        var line = plot.Add.HorizontalLine(y, 1, Colors.Gray, LinePattern.Dashed);
        line.EnableAutoscale = true;
    }

    /// <summary>Adds points with their errors, and the steps of the front that they make.</summary>
    /// <param name="series">What they are called.</param>
    /// <param name="points">The points, with half the height and width of their bars.</param>
    /// <param name="front">Those that no other is better than, from left to right.</param>
    public void Points(
        string series,
        IReadOnlyList<(double X, double Y, double ErrorX, double ErrorY)> points,
        IReadOnlyList<(double X, double Y)> front)
    {
        if (!Take(series, points.Select(point => (double[])[point.X, point.Y])))
            return;
        var color = ColorOf(series);
        Coordinates[] places = [.. points.Select(point => new Coordinates(point.X, point.Y))];
        var scatter = plot.Add.ScatterPoints(places, color);
        scatter.MarkerShape = shapes[legend.IndexOf(series) % shapes.Length];
        scatter.MarkerSize = 7;
        scatter.LegendText = series;
        foreach (var (x, y, errorX, errorY) in points)
        {
            plot.Add.Line(x - errorX, y, x + errorX, y).Color = color.WithAlpha(110);
            plot.Add.Line(x, y - errorY, x, y + errorY).Color = color.WithAlpha(110);
        }
        // What lies below and to the right of a front is reached by it: it goes on level to its next point.
        foreach (var (from, to) in front.Zip(front.Skip(1)))
        {
            foreach (var line in (ScottPlot.Plottables.LinePlot[])
                [plot.Add.Line(from.X, from.Y, to.X, from.Y), plot.Add.Line(to.X, from.Y, to.X, to.Y)])
                line.Color = color.WithAlpha(140);
        }
    }

    /// <summary>The drawing as an element of a page: it takes the width that it is given, and its text is the page's.</summary>
    public string ToSvg()
    {
        var svg = XElement.Parse(Drawing());
        svg.SetAttributeValue("viewBox", $"0 0 {Width} {height}");
        svg.SetAttributeValue("width", null);
        svg.SetAttributeValue("height", null);
        svg.SetAttributeValue("role", "img");
        svg.SetAttributeValue("aria-label", Caption);
        foreach (var attribute in svg.DescendantsAndSelf().Attributes().ToArray())
        {
            var local = attribute.Name.LocalName;
            if (local == "font-family")
                attribute.Value = "system-ui, 'DejaVu Sans', Arial, sans-serif";
            // Letters are placed one by one, for a font that the reader may not have: the first place is kept.
            else if (attribute.Parent!.Name.LocalName == "text" && local is "x" or "y")
                attribute.Value = attribute.Value.Split(',')[0].Trim();
        }
        return svg.ToString(SaveOptions.DisableFormatting);
    }

    /// <summary>Deletes a figure's files, where they are there.</summary>
    public static void Delete(string folder, string name)
    {
        foreach (var kind in (string[])["svg", "png", "csv"])
            File.Delete(Path.Combine(folder, $"{name}.{kind}"));
    }

    /// <summary>Writes the figure beside a page: as SVG, as PNG, and its numbers as CSV.</summary>
    /// <param name="folder">The folder, which must be there.</param>
    public void Write(string folder)
    {
        WriteText(Path.Combine(folder, $"{Name}.svg"), Drawing());
        MarkPlaces();
        var png = plot.GetImage(2 * Width, 2 * height).GetImageBytes();
        AtomicFile.Write(Path.Combine(folder, $"{Name}.png"), stream => stream.Write(png));
        WriteText(Path.Combine(folder, $"{Name}.csv"), string.Concat(numbers.Select(row =>
            Csv.Line(row.Concat(Enumerable.Repeat("", numbers[0].Length - row.Length)))))); // a line has no intervals
    }

    public void Dispose() => plot.Dispose();

    private static void WriteText(string path, string text) =>
        AtomicFile.Write(path, stream => stream.Write(Encoding.UTF8.GetBytes(text)));

    private double Across(double x) => IsInDoublings ? Math.Log2(x) : x;

    private string Drawing()
    {
        MarkPlaces();
        // The names within a drawing are counted on from the last one's, and are those of the page that it stands in.
        var names = new Dictionary<string, string>();
        return OwnName().Replace(plot.GetSvgXml(Width, height), match =>
        {
            if (!names.TryGetValue(match.Value, out var name))
                names[match.Value] = name = $"{Name}-{names.Count}";
            return name;
        });
    }

    private void MarkPlaces()
    {
        if (places.Count > 0)
            plot.Axes.Bottom.SetTicks([.. places.Select(Across)], [.. places.Select(place => Csv.Field(place))]);
    }

    /// <summary>Takes down a series' numbers.</summary>
    /// <returns>Whether there is room to draw it.</returns>
    private bool Take(string series, IEnumerable<double[]> rows)
    {
        numbers.AddRange(rows.Select(row => (string[])[Csv.Field(series), .. row.Select(number => Csv.Field(number))]));
        if (!legend.Contains(series))
            legend.Add(series);
        MakeRoomForLegend();
        return legend.IndexOf(series) < MostSeries;
    }

    /// <summary>ScottPlot leaves out of a legend what it has no room for. One of few rows has room in any figure.</summary>
    private void MakeRoomForLegend()
    {
        string[] drawn = [.. legend.Take(MostSeries)];
        var columns = Math.Max(1, (int)((Width - 30) / ((LegendLetter * drawn.Max(series => series.Length)) + LegendSymbol)));
        var rows = (drawn.Length + columns - 1) / columns;
        if (rows <= 2)
            return;
        legendPanel.MinimumSize = LegendRow * (rows + 1.5f);
        height = PlainHeight + (int)(LegendRow * (rows - 2));
    }

    private Color ColorOf(string series) => colors[legend.IndexOf(series) % colors.Length];

    [GeneratedRegex(@"(?<=id=""|url\(#)[^"")]+")]
    private static partial Regex OwnName();
}
