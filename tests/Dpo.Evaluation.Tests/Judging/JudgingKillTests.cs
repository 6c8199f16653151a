using System.Diagnostics;
using System.Text.Json;
using Dpo.Evaluation.Judging;
using Dpo.Tests;

namespace Dpo.Evaluation.Tests.Judging;

public class JudgingKillTests
{
    private const int Kills = 6;

    /// <summary>SIGKILL after answers of the server's, with others in flight, and the file's last line torn besides: no verdict that
    /// is in the file is asked again, none is lost, and none is there twice.</summary>
    [Fact]
    public async Task A_run_that_is_killed_asks_again_what_was_in_flight_and_nothing_else()
    {
        using var folder = new TemporaryFolder();
        var path = folder.File("verdicts.jsonl");
        var (killed, killAt) = (default(Process), 0);
        using var server = new ChatServer(request =>
        {
            if (request.Number == killAt)
                killed!.Kill();
            return Worths.Fair(request) with { Delay = TimeSpan.FromMilliseconds(request.Number % 4) };
        });
        var (random, kept) = (new Random(3), new HashSet<string>());
        for (var kill = 0; kill < Kills; kill++)
        {
            var before = server.Requests.Count;
            killAt = before + 5 + random.Next(6);
            using var child = killed = Process.Start(new ProcessStartInfo("dotnet", [typeof(KilledJudging).Assembly.Location, server.Endpoint.ToString(), path]))!;
            await child.WaitForExitAsync();
            Assert.NotEqual(0, child.ExitCode);
            var asked = Asked(server, before);
            Assert.DoesNotContain(asked, kept.Contains);
            var ids = Ids(path);
            Assert.Superset(kept, ids.ToHashSet());
            // What was asked is kept, but for what was in flight.
            Assert.InRange(asked.Count(id => !ids.Contains(id)), 1, KilledJudging.Concurrency);
            kept = [.. ids];
            if (kill % 2 == 0)
                continue;
            // A kill in the midst of writing, at any byte.
            using var file = new FileStream(path, FileMode.Open);
            file.SetLength(file.Length - 1 - random.Next(File.ReadLines(path).Last().Length));
            kept.Remove(ids[^1]);
        }

        var left = server.Requests.Count;
        var result = await JudgingRun.RunAsync(Worths.Judge(server), Worths.Comparisons(KilledJudging.Count), path);
        Assert.DoesNotContain(Asked(server, left), kept.Contains);
        Assert.Equal((kept.Count, KilledJudging.Count - kept.Count), (result.Kept, result.Asked));
        // Each kill cost a question or more, and not more than were in flight, and each torn line one.
        Assert.InRange(server.Requests.Count - KilledJudging.Count, Kills, (Kills * KilledJudging.Concurrency) + (Kills / 2));
        Assert.Equal(Worths.Verdicts(KilledJudging.Count), result.Verdicts);
        Assert.Equal(KilledJudging.Count, Ids(path).Distinct().Count());
        Assert.Equal(KilledJudging.Count, File.ReadAllLines(path).Length);
    }

    private static List<string> Asked(ChatServer server, int before) =>
        [.. server.Requests.Where(request => request.Number > before).Select(request => Worths.Post(request.Text))];

    /// <summary>The comparisons of the file's whole lines.</summary>
    private static List<string> Ids(string path) => [.. File.ReadAllText(path).Split('\n')[..^1].Select(line => JsonDocument.Parse(line).RootElement.GetProperty("id").GetString()!)];
}
