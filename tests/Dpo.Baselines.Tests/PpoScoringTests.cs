using Dpo.Tests;

namespace Dpo.Baselines.Tests;

/// <summary>What of a round's completions the reward is shown, and what becomes of its scores.</summary>
public class PpoScoringTests
{
    private static readonly int[][] prompts = [.. Enumerable.Range(20, 12).Select(first => (int[])[first, 5])];

    /// <summary>As Ziegler et al. have it: the reward reads up to the first end from a place on, a completion without one is worth a
    /// number of its own, and both are trained on whole.</summary>
    [Fact]
    public void The_reward_reads_up_to_the_end_that_is_asked_for()
    {
        var tokenizer = TextTokenizer.Load(Fixture.Path("models", "gpt2"));
        using var policy = CausalLanguageModel.Load(Fixture.Path("models", "gpt2"));
        using var pair = new PolicyReferencePair(policy);
        using var models = new ActorCritic(policy, value: null, temperature: 1);
        var read = new List<Answer>();
        var reward = new FunctionReward(answer => { read.Add(answer); return answer.Ids.Count; });
        Rollout[] Sampled(PpoOptions options) =>
            new RolloutSampling(models, pair, reward, tokenizer, options).Of(prompts, seed: 3, CancellationToken.None);
        var plain = new PpoOptions { Sampling = PpoOptions.Ziegler.Sampling with { Temperature = 1 } };
        var whole = Sampled(plain);
        Assert.All(whole, rollout => Assert.Equal(24, rollout.Example.Completions[0].Count));
        Assert.All(whole, rollout => Assert.False(rollout.Ended));
        Assert.All(whole, rollout => Assert.Equal(24, rollout.Score));

        // An end that some have from the 17th token on, and some have not.
        const int from = 16;
        var end = whole.Select(rollout => tokenizer.Decode([rollout.Example.Completions[0][from + 2]]).Trim())
            .First(text => text.Length == 1);
        bool IsEnd(int id) => tokenizer.Decode([id]).Trim() == end;
        read.Clear();
        var cut = Sampled(plain with { ScoreCut = new(end, from), MissingEndScore = -1 });
        Assert.Contains(cut, rollout => rollout.Ended);
        Assert.Contains(cut, rollout => !rollout.Ended);
        foreach (var (one, other, answer) in whole.Zip(cut, read))
        {
            var ids = one.Example.Completions[0];
            Assert.Equal(ids, other.Example.Completions[0]);
            Assert.Equal(one.LogProbs, other.LogProbs);
            var place = ids.Index().Where(token => token.Index >= from && IsEnd(token.Item)).Select(token => token.Index)
                .DefaultIfEmpty(-1).First();
            Assert.Equal(place >= 0, other.Ended);
            Assert.Equal(place >= 0 ? place + 1 : -1, other.Score);
            var shown = place >= 0 ? [.. ids.Take(place + 1)] : ids;
            Assert.Equal(shown, answer.Ids);
            Assert.Equal(tokenizer.Decode(shown, skipSpecial: true), answer.Text);
        }
    }

    [Fact]
    public void What_scoring_cannot_be_done_by_is_refused()
    {
        using var policy = Course.Policy();
        using var pair = new PolicyReferencePair(policy);
        Assert.StartsWith(
            "ScoreCut ends what is scored at the token \".\", and the trainer was given no tokenizer",
            Assert.Throws<ArgumentException>(() => Trainer(PpoOptions.Ziegler)).Message, StringComparison.Ordinal);
        Assert.Throws<ArgumentException>(() => Trainer(new() { ScoreCut = new("", 3) }));
        Assert.Throws<ArgumentException>(() => Trainer(new() { ScoreCut = new(".", -1) }));
        Assert.Throws<ArgumentOutOfRangeException>(() => Trainer(new() { MissingEndScore = double.NaN }));
        Assert.StartsWith(
            "A completion that did not end has a worth of its own or a penalty",
            Assert.Throws<ArgumentException>(() => Trainer(PpoOptions.NPlus with { MissingEndPenalty = 1 })).Message,
            StringComparison.Ordinal);

        PpoTrainer Trainer(PpoOptions options) => new(pair, new FunctionReward(Course.Worth), options);
    }

    /// <summary>The deviation that scores are divided by goes on with the run; and TRL's convention learns by a head of the policy's own
    /// too.</summary>
    [Fact]
    public void A_run_with_scaled_scores_behind_the_end_goes_on_as_it_was()
    {
        using var folder = new TemporaryFolder();
        PpoOptions Options(int rounds) => Course.Ppo(rounds) with
        {
            ScaleScores = true,
            ScorePosition = ScorePosition.AfterLastToken,
            DetailedMetrics = true,
        };
        var whole = Run(Options(4));
        var checkpoints = new CheckpointOptions { Folder = folder.Path };
        Run(Options(2) with { Checkpoints = checkpoints, DetailedMetrics = false }); // what is reported is none of the result
        var rest = Run(Options(4) with { Checkpoints = checkpoints, ResumeFrom = Checkpoints.Latest(folder.Path) });
        Assert.Equal(whole.Weights, rest.Weights);
        Assert.Equal(whole.Steps[^1].Values, rest.Steps[^1].Values);
        Assert.InRange(whole.Steps[0]["entropy"], 0.5 * Math.Log(24), Math.Log(24));
        Assert.True(whole.Steps.All(step => step["approx_kl_k3"] >= 0 && step["ratio"] > 0));

        static (float[] Weights, List<TrainingMetrics> Steps) Run(PpoOptions options)
        {
            using var policy = Course.Policy();
            using var pair = new PolicyReferencePair(policy);
            var steps = new List<TrainingMetrics>();
            using var trainer = new PpoTrainer(pair, new FunctionReward(Course.Worth), options);
            trainer.Train(Course.Prompts, new Recorder(steps));
            return ([.. policy.parameters().SelectMany(weight => weight.detach().flatten().data<float>().ToArray())], steps);
        }
    }
}
