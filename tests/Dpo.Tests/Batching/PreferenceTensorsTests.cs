using static TorchSharp.torch;

namespace Dpo.Tests;

public class PreferenceTensorsTests
{
    private static readonly TrainingExample[] Examples =
    [
        new([1], [[2, 0], [3, 4, 0], [5, 0]], [new(2, 0), new(2, 1)]) { Ranking = [2, 0, 1], Scores = [1, 0, 2] },
        new([6], [[7, 0], [8, 0], [9, 9, 9, 0]], []) { Labels = [false, true], Scores = [3, 4], MismatchedCount = 1 },
        new([1], [[2, 0], [3, 0]], []) { Ranking = [1, 0], Scores = [5, 6] },
        new([1], [[2, 0], [3, 0], [4, 0]], []) { Ranking = [0, 1, 2], Scores = [9, 8, 7] },
    ];

    [Fact]
    public void Indices_run_through_the_batch_and_rankings_of_one_length_come_together()
    {
        using var scope = NewDisposeScope();
        var known = new PreferenceBatch(Examples).To(CPU).Preferences;
        Assert.Equal([2, 2], known.Chosen.data<long>());
        Assert.Equal([0, 1], known.Rejected.data<long>());
        Assert.Equal([[7, 6], [2, 0, 1, 8, 9, 10]], known.Rankings.Select(rankings => rankings.data<long>().ToArray()));
        Assert.Equal([1, 2], known.Rankings[0].shape);
        Assert.Equal([2, 3], known.Rankings[1].shape);
        Assert.Equal([4], known.Desirable.data<long>());
        Assert.Equal([3], known.Undesirable.data<long>());
        Assert.Equal([5], known.Mismatched.data<long>());
        Assert.Equal([1, 0, 2, 3, 4, float.NaN, 5, 6, 9, 8, 7], known.Scores!.data<float>());
        Assert.Null(new PreferenceBatch([.. Examples, new([1], [[2]], [])]).To(CPU).Preferences.Scores);
    }

    [Fact]
    public void Counts_are_those_of_the_examples()
    {
        Assert.Equal(new PreferenceCounts(2, 4, 3, 1, 1, 5, 7 + 8 + 4 + 6), new PreferenceBatch(Examples).Counts);
    }

    [Fact]
    public void Mismatches_come_from_the_next_example_with_another_prompt()
    {
        var data = new PreferenceData(
        [
            new TrainingExample([1, 1], [[10, 0], [11, 0]], []) { Labels = [true, false], ReferenceLogProbs = [[-1f, -1f], [-1f, -1f]] },
            new([1, 1], [[20, 0]], []) { Labels = [true] },
            new([2], [[30, 31, 32, 0]], []) { Labels = [false] },
        ]);
        var mismatched = data.WithMismatches(maxLength: 4).Examples;
        Assert.Equal([[10, 0], [11, 0], [30, 31]], mismatched[0].Completions);
        Assert.Equal([[20, 0], [30, 31]], mismatched[1].Completions);
        Assert.Equal([[30, 31, 32, 0], [10, 0]], mismatched[2].Completions);
        Assert.All(mismatched, example => Assert.Equal(1, example.MismatchedCount));
        Assert.All(mismatched, example => Assert.Null(example.ReferenceLogProbs));
        Assert.Equal(mismatched.Select(example => example.Completions), new PreferenceData(mismatched).WithMismatches(4).Examples.Select(example => example.Completions));
        Assert.Equal([30], data.WithMismatches(maxLength: 1).Examples[0].Completions[2]);

        var one = new PreferenceData([new([1], [[2]], []), new([1], [[3]], [])]);
        Assert.Equal(
            "All examples have the same prompt, so none has a completion of another; KTO needs several prompts.",
            Assert.Throws<InvalidInputException>(() => one.WithMismatches()).Message);
    }

    [Fact]
    public void Fine_tuning_takes_what_was_chosen_ranked_best_or_labelled_desirable()
    {
        Assert.Equal([[5, 0]], Examples[0].ChosenOnly().Completions);
        Assert.Equal([[8, 0]], Examples[1].ChosenOnly().Completions);
        Assert.Equal([[3, 0]], Examples[2].ChosenOnly().Completions);
        Assert.Equal(0, new PreferenceData([Examples[1]]).ChosenOnly().Examples[0].MismatchedCount);
        var data = new PreferenceData([Examples[0], new([1], [[2]], []) { Labels = [false] }]);
        Assert.Single(data.ChosenOnly().Examples);
    }
}
