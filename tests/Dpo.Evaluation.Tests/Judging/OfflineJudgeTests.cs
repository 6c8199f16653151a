using Dpo.Baselines;
using Dpo.Evaluation.Judging;
using Dpo.Tests;

namespace Dpo.Evaluation.Tests.Judging;

public class OfflineJudgeTests
{
    [Fact]
    public async Task A_function_of_text_prefers_the_higher_one_and_ties_within_the_margin()
    {
        using var folder = new TemporaryFolder();
        var batches = new List<int>();
        var reward = new FunctionReward(answer => answer.Text!.Length);
        var judge = new RewardJudge("length", new Counted(reward, batches), margin: 2);
        Comparison[] comparisons = [.. Enumerable.Range(0, 100).Select(index => new Comparison("p", new string('x', 1 + (index % 7)), $"xxxx{new string('y', index / 7)}"))];
        var thread = Environment.CurrentManagedThreadId;
        var run = JudgingRun.RunAsync(judge, comparisons, folder.File("verdicts.jsonl"));
        Assert.True(run.IsCompletedSuccessfully); // on this thread
        var result = await run;
        Verdict Expected(Comparison one) => (one.First.Length - one.Second.Length) switch { > 2 => Verdict.Win, < -2 => Verdict.Loss, _ => Verdict.Tie };
        Assert.Equal(comparisons.Select(Expected), result.Verdicts);
        Assert.True(result.Verdicts.Contains(Verdict.Win) && result.Verdicts.Contains(Verdict.Loss) && result.Verdicts.Contains(Verdict.Tie));
        Assert.Equal([2 * 64, 2 * 36], batches);
        Assert.Equal("7 against 4", result.Comparisons.First(judged => judged.Verdict == Verdict.Win).Shown is [{ Order: ShownOrder.AsGiven, Judgement: var one }]
            ? one.Explanation : "7 against 4");
        Assert.Equal("reward\nlength\n2", judge.Identity);
        Assert.Equal(0, (await JudgingRun.RunAsync(judge, comparisons, folder.File("verdicts.jsonl"))).Asked);
        // Another margin is another judge.
        Assert.Equal(100, (await JudgingRun.RunAsync(new RewardJudge("length", reward), comparisons, folder.File("verdicts.jsonl"))).Asked);
    }

    [Fact]
    public async Task A_reward_model_is_given_the_ids_that_training_gives_it()
    {
        using var model = RewardModel.Load(Fixture.Path("models", "gpt2"), seed: 3);
        var tokenizer = TextTokenizer.Load(Fixture.Path("models", "gpt2"));
        Comparison[] comparisons = [.. Enumerable.Range(0, 20).Select(index => new Comparison($"A prompt, {index % 3}:", $" answer {index}", $" other {index * 7}."))];
        var scores = comparisons.Select(one => model.Score(
        [
            .. new[] { one.First, one.Second }.Select(text => new Answer
            {
                PromptIds = tokenizer.EncodePrompt(one.Prompt), Ids = [.. tokenizer.Encode(text), tokenizer.EndOfTextId],
            }),
        ])).ToArray();
        var judgements = await new RewardJudge("model", model, tokenizer).CompareAsync(comparisons);
        Assert.Equal(scores.Select(pair => pair[0] > pair[1] ? Verdict.Win : Verdict.Loss), judgements.Select(judgement => judgement.Verdict!.Value));
        Assert.Equal(2, judgements.Select(judgement => judgement.Verdict).Distinct().Count());
        Assert.Equal(scores.Select(pair => $"{pair[0]:G3}"), judgements.Select(judgement => $"{double.Parse(judgement.Explanation.Split(' ')[0]):G3}"));

        Assert.Contains("scores ids, and an answer has none", (await Assert.ThrowsAsync<InvalidInputException>(() => new RewardJudge("model", model).CompareAsync(comparisons))).Message);

        // One with a tokenizer of its own reads the texts.
        using var own = new RewardModel(CausalLanguageModel.LoadScalar(Fixture.Path("models", "gpt2"), seed: 3), tokenizer);
        Assert.Equal(judgements, await new RewardJudge("model", own).CompareAsync(comparisons));
    }

    [Fact]
    public async Task A_likeness_that_is_no_number_is_refused()
    {
        var judge = new ReferenceJudge("odd", (text, _) => text.Length == 0 ? double.NaN : 1);
        var failure = await Assert.ThrowsAsync<InvalidOperationException>(
            () => judge.CompareAsync([new Comparison("p", "a", "") { Id = "7", Reference = "r" }]));
        Assert.Equal("odd gave NaN for a completion of comparison 7; it must give a finite number for each, an empty one too.", failure.Message);
    }

    [Theory]
    [InlineData(float.NaN, 4)]
    [InlineData(1, 3)]
    public async Task A_reward_that_gives_no_number_for_each_is_refused(float score, int count)
    {
        var judge = new RewardJudge("odd", new Odd([.. Enumerable.Repeat(score, count)]));
        var failure = await Assert.ThrowsAsync<InvalidOperationException>(() => judge.CompareAsync(Worths.Comparisons(2)));
        Assert.Equal($"Odd was given 4 completions and answered with {count} scores; it must give a finite number for each.", failure.Message);
    }

    [Fact]
    public async Task A_reference_prefers_what_is_more_like_it()
    {
        var judge = new ReferenceJudge("ROUGE-L", TextOverlap.RougeL, margin: 0.1);
        var comparison = new Comparison("a post", "the cat sat on the mat", "the mat sat on the cat") { Reference = "The cat sat on a mat." };
        var judgements = await judge.CompareAsync([comparison, comparison with { Second = comparison.First }, comparison.Reversed]);
        Assert.Equal([Verdict.Win, Verdict.Tie, Verdict.Loss], judgements.Select(judgement => judgement.Verdict!.Value));
        Assert.Equal($"{10.0 / 12:G6} against {6.0 / 12:G6}", judgements[0].Explanation);
        var failure = await Assert.ThrowsAsync<InvalidInputException>(() => judge.CompareAsync([comparison with { Reference = null, Id = "7" }]));
        Assert.Equal("Comparison 7 has no reference text, by which ROUGE-L judges; set Comparison.Reference.", failure.Message);
    }

    /// <summary>By hand, and by Google's rouge_score without stemming.</summary>
    [Theory]
    [InlineData("police killed the gunman", "police kill the gunman", 0.75, 0.75)]
    [InlineData("the gunman police killed", "police killed the gunman", 0.5, 1)]
    [InlineData("a a a b", "a b b", 4.0 / 7, 4.0 / 7)]
    [InlineData("b a", "a b a b a", 4.0 / 7, 4.0 / 7)]
    [InlineData("", "a", 0, 0)]
    [InlineData("...", "!", 0, 0)]
    [InlineData("Größe: 5", "größe 5", 1, 1)]
    [InlineData("one two three", "four", 0, 0)]
    public void Overlap_is_F1_of_words(string text, string reference, double rougeL, double unigrams)
    {
        Assert.Equal((rougeL, unigrams), (TextOverlap.RougeL(text, reference), TextOverlap.Unigrams(text, reference)));
        Assert.Equal((rougeL, unigrams), (TextOverlap.RougeL(reference, text), TextOverlap.Unigrams(reference, text)));
    }

    private sealed class Counted(IReward reward, List<int> batches) : IReward
    {
        public IReadOnlyList<float> Score(IReadOnlyList<Answer> answers)
        {
            batches.Add(answers.Count);
            return reward.Score(answers);
        }
    }

    private sealed class Odd(float[] scores) : IReward
    {
        public IReadOnlyList<float> Score(IReadOnlyList<Answer> answers) => scores;
    }
}
