namespace Dpo.Tests;

/// <summary>Data in a file may be larger than memory: an example is read when it is computed, and at no other time.</summary>
public sealed class DataReadsTests : IDisposable
{
    private const int Count = 24;

    private readonly TemporaryFolder folder = new();
    private readonly PolicyReferencePair pair = new(new Gpt2(TrainerTests.Shape, seed: 5));

    public DataReadsTests() => PreferenceData.Write(folder.File("train.tokens"), TrainerTests.Data(Count).Examples);

    public void Dispose()
    {
        pair.Dispose();
        folder.Dispose();
    }

    private TrainingOptions Options(int? steps) => TrainerTests.Options with
    {
        BatchSize = 5,
        Steps = steps,
        Epochs = 2,
        Checkpoints = new() { Folder = folder.File("checkpoints") },
    };

    /// <summary>Besides, the first batch is tried out before the run.</summary>
    [Fact]
    public void A_run_of_two_epochs_reads_every_example_twice()
    {
        var (data, reads) = CountedExamples.Open(folder.File("train.tokens"));
        using (data)
        {
            using var trainer = new DpoTrainer(pair, options: Options(steps: null));
            var first = 0;
            trainer.Train(data, progress: new TrainerTests.Callback(step => first = step.Step == 1 ? reads.Reads : first));
            var ofFirstBatch = data.Plan(5, seed: 0, epoch: 0).First().Count;
            Assert.Equal(2 * ofFirstBatch, first);
            Assert.Equal((2 * Count) + ofFirstBatch, reads.Reads);
        }
    }

    [Fact]
    public void A_run_that_goes_on_reads_no_batch_that_it_made_before()
    {
        var (data, reads) = CountedExamples.Open(folder.File("train.tokens"));
        using (data)
        {
            using var trainer = new DpoTrainer(pair, options: Options(steps: 20));
            trainer.Train(data);
            Assert.True(reads.Reads > Count); // the second epoch has begun
        }

        var (again, rest) = CountedExamples.Open(folder.File("train.tokens"));
        using (again)
        {
            using var fresh = new PolicyReferencePair(new Gpt2(TrainerTests.Shape, seed: 5));
            using var trainer = new DpoTrainer(fresh, options: Options(steps: 22) with { ResumeFrom = Checkpoints.Latest(folder.File("checkpoints")) });
            var steps = 0;
            trainer.Train(again, progress: new TrainerTests.Callback(_ => steps++));
            Assert.Equal(2, steps);
            Assert.InRange(rest.Reads, 2, 10);
        }
    }

    /// <summary>The first batch is tried out before the run; then each evaluation reads each example once.</summary>
    [Fact]
    public void An_evaluation_reads_every_example_once()
    {
        var (data, reads) = CountedExamples.Open(folder.File("train.tokens"));
        using (data)
        {
            using var trainer = new DpoTrainer(pair, options: Options(steps: 3) with { EvaluateEvery = 1 });
            trainer.Train(TrainerTests.Data(4), data);
            Assert.InRange(reads.Reads, (3 * Count) + 1, (3 * Count) + 5);
        }
    }

    [Fact]
    public void Data_that_are_refused_are_read_no_further_than_the_example_that_is_named()
    {
        var (data, reads) = CountedExamples.Open(folder.File("train.tokens"));
        using (data)
        {
            using var small = new PolicyReferencePair(new Gpt2(TrainerTests.Shape with { MaxPositions = 8 }, seed: 5));
            using var trainer = new DpoTrainer(small, options: Options(steps: 1));
            var refused = data.Examples.First(example => example.Prompt.Count + example.Completions.Max(ids => ids.Count) - 1 > 8).Source;
            var before = reads.Reads;
            Assert.StartsWith($"The example {refused} is longer than the model's 8 positions;", Assert.Throws<InvalidInputException>(() => trainer.Train(data)).Message, StringComparison.Ordinal);
            Assert.Equal(1, reads.Reads - before);
        }
    }

    [Fact]
    public void The_reference_reads_every_example_once()
    {
        var (data, reads) = CountedExamples.Open(folder.File("train.tokens"));
        using (data)
        {
            ReferenceLogProbs.Compute(pair, data, maxTokens: 60);
            Assert.Equal(Count, reads.Reads);
            data.WithMismatches();
            Assert.Equal(2 * Count, reads.Reads);
        }
    }
}
