using Spectre.Console;
using Spectre.Console.Rendering;

namespace Dpo.Samples.Tests;

public class TerminalTests
{
    private static TrainingMetrics Step(int step) =>
        new(step, 300, new Dictionary<string, double> { ["loss"] = 1.0 / step }, TimeSpan.FromSeconds(1));

    [Fact]
    public void Steps_are_drawn_on_the_thread_that_reports_them_and_a_few_times_a_second()
    {
        using var drawings = new Drawings();
        var reported = new List<int>();
        int between = 0, afterMany = 0;
        Terminal.Draw(drawings.Console, "DPO", new Reported(reported), progress =>
        {
            Thread.Sleep(600);
            between = drawings.Count;
            for (var step = 1; step <= 299; step++)
                progress.Report(Step(step));
            afterMany = drawings.Count;
            Thread.Sleep(600);
            progress.Report(Step(300));
        });
        Assert.Equal(Enumerable.Range(1, 300), reported);
        Assert.Equal(1, between); // the empty bar: nothing is drawn while nothing is reported
        Assert.InRange(afterMany, 2, 4);
        Assert.Equal([Environment.CurrentManagedThreadId], drawings.Threads);
        AssertDrawn(drawings, "DPO 1/300", "loss 1.0000");
        AssertDrawn(drawings, "DPO 300/300", "loss 0.0033");
    }

    [Fact]
    public void The_last_step_is_drawn_however_soon_it_comes()
    {
        using var drawings = new Drawings();
        Terminal.Draw(drawings.Console, "SFT", new Reported([]), progress => progress.Report(Step(300)));
        AssertDrawn(drawings, "SFT 300/300", "loss 0.0033");
    }

    private static void AssertDrawn(Drawings drawings, params string[] texts) =>
        Assert.All(texts, text => Assert.Contains(text, drawings.Text, StringComparison.Ordinal));

    private sealed class Reported(List<int> steps) : IProgress<TrainingMetrics>
    {
        public void Report(TrainingMetrics value) => steps.Add(value.Step);
    }

    /// <summary>A terminal that remembers what was drawn, and by which threads.</summary>
    private sealed class Drawings : IRenderHook, IDisposable
    {
        private readonly StringWriter written = new();
        private readonly HashSet<int> threads = [];

        public Drawings()
        {
            Console = AnsiConsole.Create(new AnsiConsoleSettings
            {
                Ansi = AnsiSupport.Yes,
                Interactive = InteractionSupport.Yes,
                Out = new AnsiConsoleOutput(written),
            });
            Console.Profile.Width = 160;
            Console.Pipeline.Attach(this);
        }

        public IAnsiConsole Console { get; }

        public int Count { get; private set; }

        public IEnumerable<int> Threads => threads;

        public string Text => written.ToString();

        public void Dispose() => written.Dispose();

        public IEnumerable<IRenderable> Process(RenderOptions options, IEnumerable<IRenderable> renderables)
        {
            Count++;
            threads.Add(Environment.CurrentManagedThreadId);
            return renderables;
        }
    }
}
