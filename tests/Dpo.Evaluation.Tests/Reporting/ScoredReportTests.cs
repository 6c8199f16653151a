using System.Globalization;
using System.Text.RegularExpressions;
using Dpo.Evaluation.Measuring;
using Dpo.Evaluation.Reporting;
using Dpo.Tests;

namespace Dpo.Evaluation.Tests.Reporting;

/// <summary>Sections of what a model says of pairs: those that were scored, and labels that it disputes.</summary>
public sealed class ScoredReportTests : IDisposable
{
    private readonly TemporaryFolder folder = new();

    public ScoredReportTests() => Directory.CreateDirectory(folder.Path);

    public void Dispose() => folder.Dispose();

    [Fact]
    public void Scored_pairs_have_accuracy_and_calibration()
    {
        // Ten bins of two pairs each: margins of ±log 3 promise ¾.
        Write([.. Enumerable.Range(0, 20).Select(index => new ScoredPair { Source = $"f:{index}", Margin = index % 4 == 3 ? -Math.Log(3) : Math.Log(3) })]);
        var page = Report();
        Assert.Contains(
            $"<td>{Path.GetFileName(folder.Path)}</td><td class=\"number\">20</td><td class=\"number\">0.750</td>"
            + "<td class=\"number\">0.531 to 0.888</td><td class=\"number\">0.250</td>", page, StringComparison.Ordinal);
        Assert.DoesNotContain("subset", page, StringComparison.Ordinal);
        Assert.DoesNotContain("Courses of training", page, StringComparison.Ordinal); // nor a word of that there are none
        Assert.DoesNotContain("Reward over KL", page, StringComparison.Ordinal);
        var table = File.ReadAllLines(Path.Combine(folder.Path, "report-figures", "calibration.csv"));
        Assert.Equal(["series,\"promised, mean of σ(|m|)\",right,low,high", "as sure as right,0.5,0.5,,", "as sure as right,1,1,,"], table[..3]);
        double[][] bins = [.. table[3..].Select(row => row.Split(',')[1..].Select(cell => double.Parse(cell, CultureInfo.InvariantCulture)).ToArray())];
        Assert.Equal([1, 0.5, 1, 0.5, 1, 0.5, 1, 0.5, 1, 0.5], bins.Select(bin => bin[1]));
        Assert.All(bins, bin => Numbers.AssertClose(0.75, bin[0], 1e-12));
        Numbers.AssertClose([0.5, 0.0945, 0.9055], bins[1][1..], 1e-3); // Wilson's of 1 of 2

        File.Delete(Path.Combine(folder.Path, RunReport.ScoredName));
        File.WriteAllText(Path.Combine(folder.Path, "metrics.jsonl"), "{\"step\":1,\"loss\":2}\n");
        Assert.DoesNotContain("implicit rewards</h2>", Report(), StringComparison.Ordinal);
        Assert.False(File.Exists(Path.Combine(folder.Path, "report-figures", "calibration.csv")));
    }

    [Fact]
    public void Subsets_and_sections_are_shown()
    {
        ScoredPair[] Pairs(string subset, int right, int wrong) =>
            [.. Enumerable.Range(0, right + wrong).Select(index => new ScoredPair { Subset = subset, Margin = index < right ? 1 : -1 })];
        Write([.. Pairs("alpacaeval-easy", 3, 1), .. Pairs("mt-bench-easy", 1, 1), .. Pairs("my-own", 1, 0)]);
        var page = Report();
        foreach (var row in (string[])["alpacaeval-easy 4 0.750 0.301 to 0.954", "mt-bench-easy 2 0.500 0.095 to 0.905", "my-own 1 1.000 0.207 to 1.000"])
            Assert.Contains(row, Rows(page));
        // (100 · ¾ + 28 · ½) / 128, of a section of which two subsets are there.
        Assert.Contains("Chat 6 0.695 0.333 to 0.878", Rows(page));
        Assert.DoesNotContain(RewardBenchSections.Mean, page, StringComparison.Ordinal);
    }

    [Fact]
    public void Disputed_labels_are_shown_with_their_texts()
    {
        var path = Path.Combine(folder.Path, RunReport.DisputedName);
        File.WriteAllText(Path.Combine(folder.Path, "metrics.jsonl"), "{\"step\":1,\"loss\":2}\n");
        Assert.DoesNotContain("disputes", Report(), StringComparison.Ordinal);
        DisputedFile.Write(path, Enumerable.Range(1, 12).Select(index => new DisputedPair
        {
            Source = index == 2 ? null : $"train.jsonl:{index}",
            Prompt = $"prompt {index}?",
            Chosen = $"worse <{index}>",
            Rejected = $"better {index}",
            Nats = 3.0 / index,
        }));
        Assert.Equal("""{"source":"train.jsonl:1","prompt":"prompt 1?","chosen":"worse <1>","rejected":"better 1","nats":3}""", File.ReadAllLines(path)[0]);
        var page = Report();
        Assert.Contains("<h2>Labels that the reference disputes</h2>", page, StringComparison.Ordinal);
        Assert.Contains("<p>These are the first 10 of 12 in disputed.jsonl.</p>", page, StringComparison.Ordinal);
        Assert.Contains(
            "<b>1.00 nats, train.jsonl:3</b><p>prompt 3?</p><div class=\"both\"><div><b>chosen</b><p>worse &lt;3&gt;</p></div>"
            + "<div><b>rejected</b><p>better 3</p></div>", page, StringComparison.Ordinal);
        Assert.Contains("<b>1.50 nats</b>", page, StringComparison.Ordinal);
        Assert.Contains("better 10", page, StringComparison.Ordinal);
        Assert.DoesNotContain("better 11", page, StringComparison.Ordinal);

        DisputedFile.Write(path, []);
        Assert.Contains("<p>There is none.</p>", Report(), StringComparison.Ordinal);
        File.WriteAllText(path, "{\"prompt\":\"p\"}\n");
        Assert.StartsWith(
            $"{path}:1 is no disputed pair: ", Assert.Throws<InvalidInputException>(Report).Message, StringComparison.Ordinal);
    }

    [Fact]
    public void A_damaged_file_of_scores_is_named()
    {
        var path = Path.Combine(folder.Path, RunReport.ScoredName);
        File.WriteAllText(path, "{\"source\":\"a\"}\n");
        Assert.StartsWith($"{path}:1 is no scored pair: ", Assert.Throws<InvalidInputException>(Report).Message, StringComparison.Ordinal);
    }

    private void Write(ScoredPair[] pairs) => ScoredFile.Write(Path.Combine(folder.Path, RunReport.ScoredName), pairs);

    private string Report() => File.ReadAllText(RunReport.Write([folder.Path], folder.Path));

    /// <summary>The rows of all tables, their cells with spaces between.</summary>
    private static string[] Rows(string page) =>
    [
        .. Regex.Matches(page, "<tr>(.*?)</tr>").Select(row =>
            string.Join(' ', Regex.Matches(row.Groups[1].Value, "<t[dh][^>]*>(.*?)</t[dh]>").Select(cell => cell.Groups[1].Value))),
    ];
}
