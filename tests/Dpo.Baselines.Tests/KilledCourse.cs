namespace Dpo.Baselines.Tests;

/// <summary>The process that <see cref="RoundKillTests"/> kill: a course with checkpoints, which writes a sign as it goes.</summary>
internal sealed class KilledCourse : IProgress<TrainingMetrics>, IReward
{
    /// <summary>What it writes when a round is told, and when one is scored.</summary>
    public const char Told = 't', Scored = 's';

    public static void Main(string[] arguments)
    {
        TorchSharp.torch.random.manual_seed(1); // the state of the process's generator lies in checkpoints
        var signs = new KilledCourse();
        Course.Run(isPpo: arguments[1] == "ppo", arguments[0], rounds: 40, signs, signs);
    }

    public void Report(TrainingMetrics value) => Sign(Told);

    public IReadOnlyList<float> Score(IReadOnlyList<Answer> answers)
    {
        Sign(Scored);
        return [.. answers.Select(Course.Worth)];
    }

    private static void Sign(char sign)
    {
        Console.Out.Write(sign);
        Console.Out.Flush();
    }
}
