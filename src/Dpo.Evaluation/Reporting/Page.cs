using System.Security;
using System.Text;

namespace Dpo.Evaluation.Reporting;

/// <summary>A page of HTML that needs nothing beside it: no script, no font, no image of another file.</summary>
/// <param name="title">Its title, as plain text.</param>
internal sealed class Page(string title)
{
    private const string Style = """
        :root { color-scheme: light dark; --line: #8886; --soft: #8881; }
        body { font: 16px/1.5 system-ui, "DejaVu Sans", Arial, sans-serif; max-width: 60rem; margin: 0 auto; padding: 1rem; }
        h1, h2, h3 { line-height: 1.25; } h2 { margin-top: 2.5rem; border-bottom: 1px solid var(--line); }
        .wide { overflow-x: auto; }
        table { border-collapse: collapse; font-variant-numeric: tabular-nums; margin: 0.5rem 0; }
        th, td { text-align: left; vertical-align: top; padding: 0.25rem 0.75rem 0.25rem 0; }
        th, td { border-bottom: 1px solid var(--line); }
        td.number, th.number { text-align: right; white-space: nowrap; }
        figure { margin: 1.5rem 0; } figcaption { font-size: 0.9rem; }
        figure .drawing { background: #fff; color: #000; overflow-x: auto; }
        figure svg { display: block; width: 100%; min-width: 30rem; }
        .samples > div { border: 1px solid var(--line); border-radius: 4px; margin: 1rem 0; padding: 0.5rem 0.75rem; }
        .samples .both { display: grid; grid-template-columns: 1fr 1fr; gap: 1rem; }
        .samples p { margin: 0.25rem 0; white-space: pre-wrap; overflow-wrap: anywhere; } .samples b { font-size: 0.85rem; }
        @media (max-width: 40rem) { .samples .both { grid-template-columns: 1fr; } body { padding: 0.75rem; } }
        dl { display: grid; grid-template-columns: max-content 1fr; gap: 0 1rem; } dt { font-weight: 600; }
        dd { margin: 0; overflow-wrap: anywhere; }
        @media (max-width: 40rem) { dl { grid-template-columns: 1fr; } dd { margin: 0 0 0.5rem; } }
        """;

    private readonly StringBuilder body = new();

    /// <summary>A heading; 2 begins a section, 3 a part of one.</summary>
    public void Heading(string text, int level = 2) => body.Append($"<h{level}>{Escaped(text)}</h{level}>\n");

    /// <summary>A paragraph of plain text.</summary>
    public void Paragraph(string text) => body.Append($"<p>{Escaped(text)}</p>\n");

    /// <summary>A list of plain texts.</summary>
    public void List(IEnumerable<string> texts) =>
        body.Append($"<ul>\n{string.Concat(texts.Select(text => $"<li>{Escaped(text)}</li>\n"))}</ul>\n");

    /// <summary>A table; columns but the first are numbers where all their cells begin like one.</summary>
    public void Table(IReadOnlyList<string> header, IReadOnlyList<IReadOnlyList<string>> rows)
    {
        bool IsNumber(int column) =>
            column > 0 && rows.All(row => row[column] is "" or [>= '0' and <= '9' or '−' or '-', ..]);
        string Cells(string tag, IReadOnlyList<string> cells) => string.Concat(cells.Select((cell, column) =>
            $"<{tag}{(IsNumber(column) ? " class=\"number\"" : "")}>{Escaped(cell)}</{tag}>"));
        body.Append($"<div class=\"wide\"><table>\n<tr>{Cells("th", header)}</tr>\n");
        foreach (var row in rows)
            body.Append($"<tr>{Cells("td", row)}</tr>\n");
        body.Append("</table></div>\n");
    }

    /// <summary>Names and what they stand for.</summary>
    public void Facts(IEnumerable<KeyValuePair<string, string>> facts)
    {
        body.Append("<dl>\n");
        foreach (var (name, value) in facts)
            body.Append($"<dt>{Escaped(name)}</dt><dd>{Escaped(value)}</dd>\n");
        body.Append("</dl>\n");
    }

    /// <summary>A drawing with its caption.</summary>
    public void Figure(Figure figure) => body.Append(
        $"<figure><div class=\"drawing\">{figure.ToSvg()}</div><figcaption>{Escaped(figure.Caption)}</figcaption></figure>\n");

    /// <summary>Two completions of each of some prompts, side by side, without the white space about them.</summary>
    /// <param name="comparisons">What stands in front of the prompt, the prompt, and the completions; of the second there may be
    /// none.</param>
    /// <param name="first">What the first completions are.</param>
    /// <param name="second">What the second ones are.</param>
    public void Compared(
        IEnumerable<(string Title, string Prompt, string First, string? Second)> comparisons, string first, string second)
    {
        body.Append("<div class=\"samples\">\n");
        foreach (var (title, prompt, one, other) in comparisons)
        {
            body.Append($"<div><b>{Escaped(title)}</b><p>{Escaped(prompt.Trim())}</p><div class=\"both\">");
            body.Append($"<div><b>{Escaped(first)}</b><p>{Escaped(one.Trim())}</p></div>");
            if (other is not null)
                body.Append($"<div><b>{Escaped(second)}</b><p>{Escaped(other.Trim())}</p></div>");
            body.Append("</div></div>\n");
        }
        body.Append("</div>\n");
    }

    /// <summary>The whole page.</summary>
    public override string ToString() =>
        $"""
        <!DOCTYPE html>
        <html lang="en">
        <head>
        <meta charset="utf-8">
        <meta name="viewport" content="width=device-width, initial-scale=1">
        <title>{Escaped(title)}</title>
        <style>
        {Style}
        </style>
        </head>
        <body>
        <h1>{Escaped(title)}</h1>
        {body}</body>
        </html>

        """.ReplaceLineEndings("\n");

    private static string Escaped(string text) => SecurityElement.Escape(text);
}
