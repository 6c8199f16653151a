using Dpo.Baselines;
using Dpo.Evaluation;
using Dpo.Evaluation.Judging;
using Dpo.Tests;

namespace Dpo.Samples.Tests;

public sealed class PromptSetTests : IDisposable
{
    private readonly TemporaryFolder folder = new();

    public void Dispose() => folder.Dispose();

    private TrainingSettings Settings(params string[] more)
    {
        TrainingSettings? settings = null;
        var command = new TrainingCommand("", folder.File("out"), 0.1, Truncation.PaperKeepPromptEnd, comparisons: ["ppo", "best-of-n", "course"]);
        Assert.Equal(0, command.Run(["--max-length", "64", "--max-new-tokens", "8", .. more], (asked, _) => settings = asked));
        return settings!;
    }

    private IReadOnlyList<PreferenceExample> Rows(string lines) =>
        [.. PreferenceFile.Read(folder.Write("rows.jsonl", lines), new DataReport())];

    private static PromptSet Of(IReadOnlyList<PreferenceExample> examples, TrainingSettings settings) => PromptSet.Of(
        "posts", examples, TextTokenizer.Load(Fixture.Path("models", "gpt2")), settings, SampleJudge.Of(settings, JudgePrompt.Summary, facts: null));

    /// <summary>Whatever the order of the completions, which is that of the pairs that a reader makes of a ranking.</summary>
    [Fact]
    public void The_best_of_a_ranking_is_compared_with_its_worst()
    {
        var set = Of(Rows("""{"prompt":"a","completions":["middle","worst","best"],"ranking":[2,0,1]}""" + "\n"), Settings());
        Assert.Equal(("best", "worst"), (set.Prompts[0].Chosen, set.Prompts[0].Rejected));
    }

    /// <summary>Likeness to the chosen completion is compared with that of the rejected one: where there is none, nothing is measured.</summary>
    [Fact]
    public void What_cannot_be_compared_is_left_out_by_name()
    {
        var settings = Settings();
        var examples = Rows("""{"prompt":"a","completion":" b","label":true}""" + "\n");
        var (sets, leftOut) = PromptSet.Measured(settings, Of(examples, settings));
        Assert.Empty(sets);
        Assert.Equal(["Win rates of posts: the judge compares with rejected completions, and there are none; name another judge."], leftOut);
    }

    [Fact]
    public void What_needs_a_reward_is_left_out_where_there_are_no_pairs_to_learn_one_from()
    {
        var settings = Settings("--compare", "course,ppo");
        PreferenceData Data(string lines) => new(new ExampleTokenizer(TextTokenizer.Load(Fixture.Path("models", "gpt2")), 64, 32).Tokenize(Rows(lines), new DataReport()));
        using var pairs = Data("""{"prompt":"a","chosen":" b","rejected":" c"}""" + "\n");
        using var labelled = Data("""{"prompt":"a","completion":" b","label":true}""" + "\n" + """{"prompt":"d","completion":" e","label":false}""" + "\n");
        Assert.Equal(["course", "ppo"], Rivals.Possible(settings, pairs).WinRates.Compare);
        Assert.Equal(["Win rates of best-of-n: left out by --compare."], Rivals.Possible(settings, pairs).WinRates.NotCompared);
        Assert.Equal(["course"], Rivals.Possible(settings, labelled).WinRates.Compare);
        Assert.Equal(
            ["Win rates of best-of-n: left out by --compare.", "Win rates of ppo: the data have no pairs to learn a reward from."],
            Rivals.Possible(settings, labelled).WinRates.NotCompared);
    }

    /// <summary>A trial run is short in all its parts, and a long one of the policy has no more rounds for it.</summary>
    [Theory]
    [InlineData(2, 2)]
    [InlineData(1000, 10)]
    public void Steps_make_rounds_fewer_and_not_more(int steps, int rounds)
    {
        using var data = new PreferenceData([new TokenizedExample([1], [[2], [3]], [new(0, 1)])]);
        Assert.Equal(rounds, Rivals.Ppo(Settings("--steps", $"{steps}"), data).Rounds);
    }

    [Theory]
    [InlineData("DPO")]
    [InlineData("simpo + sft", "--loss", "simpo,sft")]
    public void A_policy_goes_by_the_name_of_its_loss(string method, params string[] loss) => Assert.Equal(method, Settings(loss).Method);

    [Fact]
    public async Task A_folder_judges_by_its_rewards()
    {
        var (judge, gpt2) = (folder.File("judge"), Fixture.Path("models", "gpt2"));
        using (var made = new RewardModel(CausalLanguageModel.Load(gpt2).WithScalarHead(seed: 3)))
            made.Save(judge);
        TextTokenizer.Load(gpt2).Save(judge);
        using var named = SampleJudge.Of(Settings("--judge-reward", judge), JudgePrompt.Helpfulness, facts: null);
        Assert.True(named is { IsNamed: true, AgainstChosen: true, AgainstRejected: true });

        using var reward = RewardModel.Load(judge, tokenizer: TextTokenizer.Load(judge));
        string[] texts = [" a", " b", " the", " of", " no"];
        Comparison[] comparisons = [.. texts.Zip(texts.Skip(1), (first, second) => new Comparison("It was", first, second))];
        var scores = reward.Score([.. texts.Select(text => new Answer { PromptIds = [], Ids = [], Prompt = "It was", Text = text })]);
        var judged = await named.Judge.CompareAsync(comparisons);
        Assert.Equal(scores.Zip(scores.Skip(1), (first, second) => first > second ? Verdict.Win : Verdict.Loss), judged.Select(one => one.Verdict!.Value));
        Assert.Equal(2, judged.DistinctBy(one => one.Verdict).Count());
    }

    [Fact]
    public void A_judge_within_the_output_is_refused()
    {
        var (exitCode, _, error) = SampleRun.Run("TlDr", "--output", folder.Path, "--judge-reward", folder.File("reward"));
        Assert.Equal((2, $"--output {folder.Path}: the reward model of --judge-reward lies in it, and may be replaced; give another folder.\n"), (exitCode, error));
    }
}
