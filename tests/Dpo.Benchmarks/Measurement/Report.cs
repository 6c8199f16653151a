using Spectre.Console;

namespace Dpo.Benchmarks;

/// <summary>What is printed.</summary>
internal static class Report
{
    private const int Width = 130;

    public static void Line(string text) => Console.WriteLine(text);

    /// <summary>A table whose first column names the rows and whose others hold figures.</summary>
    public static Table Table(params string[] columns)
    {
        var table = new Table().Border(TableBorder.Markdown);
        foreach (var (index, column) in columns.Index())
            table.AddColumn(column, settings => settings.Alignment(index == 0 ? Justify.Left : Justify.Right));
        return table;
    }

    public static void Show(Table table)
    {
        // Where output is redirected Spectre would cut lines at 80 columns.
        AnsiConsole.Profile.Width = Math.Max(Width, AnsiConsole.Profile.Width);
        AnsiConsole.Write(table);
    }
}
