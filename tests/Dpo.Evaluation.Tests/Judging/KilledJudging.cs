using Dpo.Evaluation.Judging;

namespace Dpo.Evaluation.Tests.Judging;

/// <summary>The process that <see cref="JudgingKillTests"/> kills.</summary>
internal static class KilledJudging
{
    public const int Count = 60, Concurrency = 4;

    public static async Task Main(string[] arguments) => await JudgingRun.RunAsync(
        new ChatJudge(Worths.Client(new Uri(arguments[0])), Worths.Prompt, Worths.Quick), Worths.Comparisons(Count), arguments[1],
        new JudgingOptions { Concurrency = Concurrency });
}
