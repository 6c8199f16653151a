using Dpo.Evaluation.Measuring;
using Dpo.Evaluation.Statistics;

namespace Dpo.Evaluation.Tests.Measuring;

public class DataAuditTests
{
    private const string Long = "one two three four five six seven eight nine ten";

    [Fact]
    public void Lengths_repetitions_contradictions_and_shared_prompts_are_counted()
    {
        PreferenceExample[] examples =
        [
            new("a", "long answer", "short") { Source = "train.jsonl:1" },
            new("a", "long answer", "short"), // a duplicate
            new("a", "short", "long answer"), // contradicts both
            new("b", ["yes", "no!", "perhaps"], [new(0, 1), new(2, 0)]), // of equal lengths; 7 against 3
            new("c", Long, Long.Replace("six", "SEVEN") + " ") { Source = "train.jsonl:5" },
        ];
        var audit = DataAudit.Of(examples, [new("b", "x", "y"), new("b", "z", "y"), new("d", "x", "y"), new("a", "x", "y")]);
        Assert.Equal((5, 6), (audit.Examples, audit.Pairs));
        Assert.Equal((1, 3), (audit.Duplicates, audit.ContradictoryPairs));
        Assert.Equal((11 + 11 + 5 + 3 + 7 + Long.Length) / 6.0, audit.ChosenLength!.Value, 1e-12);
        Assert.Equal((5 + 5 + 11 + 3 + 3 + Long.Length + 3) / 6.0, audit.RejectedLength!.Value, 1e-12);
        Assert.Equal((3.0 / 5, 5), (audit.LongerIsChosen!.Value, audit.LongerIsChosen.Count));
        Assert.Equal([new NearIdenticalPair("train.jsonl:5", new(0, 1), 0.9)], audit.NearIdentical);
        Assert.Equal(["b", "a"], audit.PromptsInBoth!);
        var nothing = DataAudit.Of([]);
        Assert.Null(nothing.LongerIsChosen);
        Assert.Null(nothing.ChosenLength);
        Assert.Throws<ArgumentOutOfRangeException>(() => DataAudit.Of([], similarity: 0));
    }

    /// <summary>Against Levenshtein's recurrence over all cells.</summary>
    [Fact]
    public void Word_distances_within_a_limit_are_those_without_one()
    {
        var random = new Random(7);
        var found = 0;
        for (var trial = 0; trial < 3000; trial++)
        {
            string[] one = [.. Enumerable.Range(0, random.Next(12)).Select(_ => $"{(char)('a' + random.Next(3))}")];
            var other = one.ToList();
            for (var edits = random.Next(4); edits > 0; edits--)
            {
                var at = random.Next(other.Count + 1);
                if (random.Next(2) == 0 || other.Count == 0)
                    other.Insert(at, $"{(char)('A' + random.Next(3))}");
                else
                    other.RemoveAt(Math.Min(at, other.Count - 1));
            }
            var least = random.Next(1, 11) / 10.0;
            var longest = Math.Max(one.Length, other.Count);
            double expected = longest == 0 ? 1 : 1 - ((double)Distance(one, other) / longest);
            var similarity = WordDistance.Similarity(string.Join(' ', one), string.Join("  ", other), least);
            Assert.Equal(expected >= least - 1e-9 ? expected : null, similarity);
            found += similarity is null ? 0 : 1;
        }
        Assert.InRange(found, 1000, 2900);

        static int Distance(string[] one, List<string> other)
        {
            var cells = new int[one.Length + 1, other.Count + 1];
            for (var i = 0; i <= one.Length; i++)
            {
                for (var j = 0; j <= other.Count; j++)
                {
                    cells[i, j] = i == 0 ? j : j == 0 ? i : Math.Min(
                        Math.Min(cells[i - 1, j], cells[i, j - 1]) + 1,
                        cells[i - 1, j - 1] + (one[i - 1].Equals(other[j - 1], StringComparison.OrdinalIgnoreCase) ? 0 : 1));
                }
            }
            return cells[one.Length, other.Count];
        }
    }

    /// <summary>The planted flips: one label in ten is the wrong way round, and the model that finds them was trained on
    /// them.</summary>
    [Fact]
    public void A_policy_that_was_trained_on_them_disputes_flipped_labels()
    {
        var random = new Random(11);
        var (data, flipped) = Preferences(random, 400, flips: 0.1);
        using var _ = data;
        using var policy = Model();
        using var pair = new PolicyReferencePair(policy);
        using var loss = new DpoLoss(beta: 0.1);
        using var trainer = new DpoTrainer(pair, loss, new TrainingOptions { BatchSize = 50, Epochs = 3, LearningRate = 3e-3, Optimizer = OptimizerKind.AdamW });
        trainer.Train(data);
        Assert.InRange(Found(Evaluator.Rewards(pair, data, loss), flipped, LabelWitness.ImplicitReward), 0.9, 1);
    }

    [Fact]
    public void A_reference_that_was_tuned_on_good_completions_disputes_flipped_labels()
    {
        var random = new Random(12);
        using var reference = Model();
        using var clean = Preferences(random, 400, flips: 0).Data.ChosenOnly();
        using var trainer = new SftTrainer(reference, new TrainingOptions { BatchSize = 50, Epochs = 4, LearningRate = 5e-3, Optimizer = OptimizerKind.AdamW });
        trainer.Train(clean);
        using var pair = new PolicyReferencePair(reference);
        var (data, flipped) = Preferences(random, 300, flips: 0.1);
        using var _ = data;
        var rewards = Evaluator.Rewards(pair, data).ToArray();
        Assert.InRange(Found(rewards, flipped, LabelWitness.LogProbs), 0.9, 1);
        // The policy is the reference, whose implicit rewards say nothing.
        Assert.Equal(0.5, Found(rewards, flipped, LabelWitness.ImplicitReward));
        var suspects = LabelNoise.Rank(rewards, LabelWitness.LogProbs);
        Assert.Equal(suspects.Select(suspect => suspect.Against).OrderDescending(), suspects.Select(suspect => suspect.Against));
        Assert.True(suspects[0].Against > 0 && suspects[^1].Against < 0);
    }

    private static double Found(IEnumerable<PairRewards> rewards, HashSet<string> flipped, LabelWitness witness)
    {
        var ranked = LabelNoise.Rank(rewards, witness);
        return Auc.Of([.. ranked.Select(suspect => suspect.Against)], [.. ranked.Select(suspect => flipped.Contains(suspect.Pair.Source!))]);
    }

    private static Gpt2 Model() =>
        new(new() { VocabularySize = 30, MaxPositions = 16, HiddenSize = 32, LayerCount = 1, HeadCount = 2 }, seed: 1);

    /// <summary>Good completions count on from their prompt, nine times in ten; bad ones are of any tokens.</summary>
    private static (PreferenceData Data, HashSet<string> Flipped) Preferences(Random random, int count, double flips)
    {
        HashSet<string> flipped = [];
        var examples = new List<TokenizedExample>();
        for (var index = 0; index < count; index++)
        {
            var prompt = random.Next(2, 10);
            int[] good = [.. Enumerable.Range(0, random.Next(4, 7)).Select(place => random.Next(10) > 0 ? 10 + ((prompt + place) % 20) : random.Next(10, 30)), 0];
            int[] bad = [.. Enumerable.Range(0, random.Next(4, 7)).Select(_ => random.Next(10, 30)), 0];
            var isFlipped = random.NextDouble() < flips;
            var example = new TokenizedExample([prompt], isFlipped ? [bad, good] : [good, bad], [new PreferencePair(0, 1)]) { Source = $"row {index}" };
            examples.Add(example);
            if (isFlipped)
                flipped.Add(example.Source!);
        }
        return (new PreferenceData(examples), flipped);
    }
}
