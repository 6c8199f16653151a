using System.Text;
using System.Text.RegularExpressions;
using System.Xml.Linq;
using Dpo.Files;
using Dpo.Training.Metrics;
using ScottPlot;

namespace Dpo.Evaluation.Reporting;

/// <summary>A figure of lines and points, drawn by ScottPlot, with the numbers that it shows.</summary>
internal sealed partial class Figure : IDisposable
{
    private const int Width = 720, Height = 440;

    // Okabe and Ito's colours, which people who see few colours can tell apart.
    private static readonly Color[] colors =
    [
        new(0x00, 0x72, 0xB2), new(0xD5, 0x5E, 0x00), new(0x00, 0x9E, 0x73), new(0xCC, 0x79, 0xA7),
        new(0xE6, 0x9F, 0x00), new(0x56, 0xB4, 0xE9), new(0x00, 0x00, 0x00), new(0x8C, 0x7A, 0x00),
    ];

    private static readonly MarkerShape[] shapes =
    [
        MarkerShape.FilledCircle, MarkerShape.FilledSquare, MarkerShape.FilledTriangleUp, MarkerShape.FilledDiamond,
        MarkerShape.OpenCircle, MarkerShape.OpenSquare, MarkerShape.OpenTriangleUp, MarkerShape.OpenDiamond,
    ];

    // Of lines beyond the colours.
    private static readonly LinePattern[] patterns = [LinePattern.Solid, LinePattern.Dashed, LinePattern.Dotted];

    private readonly Plot plot = new();
    private readonly List<string[]> numbers;
    private readonly List<string> legend = [];
    private readonly SortedSet<double> places = []; // marked on an axis of doublings

    /// <summary>Begins a figure without anything in it.</summary>
    /// <param name="name">The name of its files, and what its parts are known by in a page.</param>
    /// <param name="caption">What a reader is told of it.</param>
    /// <param name="across">The horizontal axis.</param>
    /// <param name="up">The vertical axis.</param>
    public Figure(string name, string caption, string across, string up)
    {
        (Name, Caption) = (name, caption);
        numbers = [["series", Csv.Field(across), Csv.Field(up)]];
        plot.XLabel(across);
        plot.YLabel(up);
        plot.Axes.Bottom.Label.Bold = plot.Axes.Left.Label.Bold = false;
        plot.ShowLegend(Edge.Bottom);
    }

    /// <summary>The name of its files.</summary>
    public string Name { get; }

    /// <summary>What a reader is told of it.</summary>
    public string Caption { get; }

    /// <summary>Whether an equal way to the right is a doubling; what is drawn by <see cref="Intervals"/> has its places on the
    /// axis then.</summary>
    public bool IsInDoublings { get; init; }

    /// <summary>Whether anything was drawn.</summary>
    public bool IsEmpty => numbers.Count == 1;

    /// <summary>Adds a line through points, in their order.</summary>
    public void Line(string series, IReadOnlyList<(double X, double Y)> points)
    {
        Coordinates[] places = [.. points.Select(point => new Coordinates(point.X, point.Y))];
        var line = plot.Add.ScatterLine(places, ColorOf(series));
        line.LineWidth = 1.5f;
        line.LinePattern = patterns[legend.IndexOf(series) / colors.Length % patterns.Length];
        line.MarkerSize = points.Count == 1 ? 7 : 0; // a single point makes no line
        line.LegendText = series;
        Note(series, points);
    }

    /// <summary>Adds a line through points with their intervals.</summary>
    /// <param name="series">What it is called.</param>
    /// <param name="points">The points, from left to right, with the ends of their intervals.</param>
    public void Intervals(string series, IReadOnlyList<(double X, double Y, double Low, double High)> points)
    {
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
        numbers[0] = [.. numbers[0][..3], "low", "high"];
        numbers.AddRange(points.Select(point => (string[])
        [
            Csv.Field(series), Csv.Field(point.X), Csv.Field(point.Y), Csv.Field(point.Low), Csv.Field(point.High),
        ]));
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
        Note(series, [.. points.Select(point => (point.X, point.Y))]);
    }

    /// <summary>The drawing as an element of a page: it takes the width that it is given, and its text is the page's.</summary>
    public string ToSvg()
    {
        var svg = XElement.Parse(Drawing());
        svg.SetAttributeValue("viewBox", $"0 0 {Width} {Height}");
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
        var png = plot.GetImage(2 * Width, 2 * Height).GetImageBytes();
        AtomicFile.Write(Path.Combine(folder, $"{Name}.png"), stream => stream.Write(png));
        WriteText(Path.Combine(folder, $"{Name}.csv"), string.Concat(numbers.Select(Csv.Line)));
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
        return OwnName().Replace(plot.GetSvgXml(Width, Height), match =>
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

    private Color ColorOf(string series)
    {
        if (!legend.Contains(series))
            legend.Add(series);
        return colors[legend.IndexOf(series) % colors.Length];
    }

    private void Note(string series, IReadOnlyList<(double X, double Y)> points) => numbers.AddRange(points.Select(point =>
        (string[])[Csv.Field(series), Csv.Field(point.X), Csv.Field(point.Y)]));

    [GeneratedRegex(@"(?<=id=""|url\(#)[^"")]+")]
    private static partial Regex OwnName();
}
