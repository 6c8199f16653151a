using System.Text.Json;
using Dpo.Files;
using Dpo.Training.Metrics;

namespace Dpo.Evaluation.Reporting;

/// <summary>The courses of a stage's metrics, out of its <c>metrics.jsonl</c>.</summary>
internal sealed class MetricsHistory
{
    /// <summary>The file's name in a stage's folder.</summary>
    public const string FileName = "metrics.jsonl";

    private readonly Dictionary<string, List<(double Step, double Value)>> courses = [];

    /// <summary>Reads the file; a line that was being written when the run was killed is left out.</summary>
    /// <exception cref="InvalidInputException">It cannot be read, or a line is no step.</exception>
    public MetricsHistory(string folder)
    {
        var path = Path.Combine(folder, FileName);
        using var stream = new BufferedStream(RegularFile.OpenRead(path));
        foreach (var (index, line) in StepLines.Whole(stream).Index())
        {
            try
            {
                var values = StepLines.Numbers(line.Span);
                var step = values.TryGetValue("step", out var known) ? known : throw new JsonException("It has no step.");
                foreach (var (name, value) in values)
                {
                    if (!courses.TryGetValue(name, out var course))
                        courses[name] = course = [];
                    if (double.IsFinite(value))
                        course.Add((step, value));
                }
            }
            catch (JsonException e)
            {
                throw new InvalidInputException(
                    $"{path}:{index + 1} is no step with its metrics: {e.Message} Take the line out, or report without the file.",
                    e);
            }
        }
    }

    /// <summary>What a metric is called on held-out data: <c>eval_loss</c>, or <c>eval_helpful_loss</c> and the like of named
    /// sets, by name. Of <c>value_loss</c>, where that is measured in training too, there is nothing among those of
    /// <c>loss</c>.</summary>
    public IEnumerable<string> HeldOut(string metric)
    {
        bool IsHeldOut(string name) => name.StartsWith("eval_", StringComparison.Ordinal);
        string[] longer = [.. courses.Keys.Where(name => EndsWith(name, metric) && !IsHeldOut(name))];
        return courses.Keys
            .Where(name => IsHeldOut(name) && EndsWith(name, metric) && !longer.Any(other => EndsWith(name, other)))
            .Order(StringComparer.Ordinal);

        static bool EndsWith(string name, string metric) => name.EndsWith("_" + metric, StringComparison.Ordinal);
    }

    /// <summary>The course of a metric: its finite values, of which neighbours are averaged where there are more than can be
    /// told apart in a figure. Empty where there is none.</summary>
    public IReadOnlyList<(double Step, double Value)> Course(string name, int most = 400)
    {
        var course = courses.GetValueOrDefault(name, []);
        var together = (course.Count + most - 1) / most;
        return together <= 1
            ? course
            : [.. course.Chunk(together).Select(part => (part[^1].Step, part.Average(point => point.Value)))];
    }
}
