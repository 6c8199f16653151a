using static TorchSharp.torch;

namespace Dpo.Tests;

/// <summary>Whose learning rate a step has, and what is said of it.</summary>
public class LearningRatesTests
{
    private static readonly PreferenceData data = TrainerTests.Data(12);

    private static double[] Rates(TrainingOptions options, Func<CausalLanguageModel, optim.Optimizer>? own = null, CheckpointFaultTests.KeptLog? log = null)
    {
        using var pair = new PolicyReferencePair(new Gpt2(TrainerTests.Shape, seed: 5));
        using var optimizer = own?.Invoke(pair.Policy);
        using var trainer = new DpoTrainer(pair, options: options with { BatchSize = 5 }, optimizer: optimizer, logger: log);
        var steps = new List<TrainingMetrics>();
        trainer.Train(data, progress: new Recorder(steps));
        if (optimizer is not null)
            Assert.Equal(steps[^1]["learning_rate"], optimizer.ParamGroups.First().LearningRate);
        return [.. steps.Select(step => step["learning_rate"])];
    }

    private static optim.Optimizer Sgd(CausalLanguageModel model) => optim.SGD(model.parameters(), 0.125);

    [Fact]
    public void An_optimizer_of_ones_own_keeps_its_rate_unless_the_options_set_one_or_a_schedule()
    {
        var steps = new TrainingOptions { Steps = 3 };
        LearningRateSchedule halving = (step, _) => Math.Pow(0.5, step);
        Assert.Equal([0.125, 0.125, 0.125], Rates(steps, Sgd));
        Assert.Equal([0.125, 0.0625, 0.03125], Rates(steps with { Schedule = halving }, Sgd));
        Assert.Equal([0.25, 0.25, 0.25], Rates(steps with { LearningRate = 0.25 }, Sgd));
        Assert.Equal([0.25, 0.125, 0.0625], Rates(steps with { LearningRate = 0.25, Schedule = halving }, Sgd));
        Assert.Equal([1e-6 / 151, 2e-6 / 151, 3e-6 / 151], Rates(steps), (a, b) => Math.Abs(a - b) < 1e-20);
    }

    /// <summary>A schedule of torch.optim, or a callback, may change it between two steps.</summary>
    [Fact]
    public void A_rate_that_the_user_changes_while_training_is_kept()
    {
        using var pair = new PolicyReferencePair(new Gpt2(TrainerTests.Shape, seed: 5));
        using var optimizer = Sgd(pair.Policy);
        using var trainer = new DpoTrainer(pair, options: new() { Steps = 3, BatchSize = 5 }, optimizer: optimizer);
        var rates = new List<double>();
        trainer.Train(data, progress: new TrainerTests.Callback(step =>
        {
            rates.Add(step["learning_rate"]);
            optimizer.ParamGroups.First().LearningRate = 0.125 / (1 << step.Step);
        }));
        Assert.Equal([0.125, 0.0625, 0.03125], rates);
    }

    [Fact]
    public void Groups_of_parameters_keep_their_own_rates_too()
    {
        optim.Optimizer? grouped = null;
        Rates(new() { Steps = 2, Schedule = (step, _) => step == 1 ? 0.5 : 1 }, model =>
        {
            TorchSharp.Modules.SGD.ParamGroup Group(IEnumerable<TorchSharp.Modules.Parameter> parameters, double rate) =>
                new(parameters, new TorchSharp.Modules.SGD.Options { LearningRate = rate });
            var parameters = model.parameters().ToArray();
            return grouped = optim.SGD([Group(parameters[..2], 0.25), Group(parameters[2..], 0.0625)], 1);
        });
        Assert.Equal([0.125, 0.03125], grouped!.ParamGroups.Select(group => group.LearningRate));
    }

    [Theory]
    [InlineData(double.NaN)]
    [InlineData(double.PositiveInfinity)]
    public void A_schedule_that_is_no_number_at_any_step_is_refused_before_the_first(double factor)
    {
        var message = Assert.Throws<InvalidInputException>(() => Rates(new() { Steps = 9, Schedule = (step, _) => step == 4 ? factor : 1 })).Message;
        Assert.Equal($"The learning rate's schedule gives {factor} at step 5 of 9; it must give a finite number at every step.", message);
    }

    [Theory]
    [InlineData(double.NaN)]
    [InlineData(double.PositiveInfinity)]
    [InlineData(0)]
    public void A_rate_that_is_no_positive_number_is_refused(double rate) =>
        Assert.Throws<ArgumentOutOfRangeException>(() => Rates(new() { LearningRate = rate }));

    [Fact]
    public void A_warm_up_that_is_longer_than_the_run_is_told_with_the_rate_it_comes_to()
    {
        string[] Warnings(TrainingOptions options, Func<CausalLanguageModel, optim.Optimizer>? own = null)
        {
            var log = new CheckpointFaultTests.KeptLog();
            Rates(options, own, log);
            return [.. log.Lines.Where(line => line.StartsWith("Warning: The warm-up", StringComparison.Ordinal))];
        }
        static string Told(int steps, string rate, string whole) =>
            $"Warning: The warm-up is longer than the run: at the last of {steps} steps the learning rate has come to {rate} of {whole}. " +
            "A shorter warm-up, or more steps, would reach it.";

        Assert.Equal([Told(3, "1.99e-08", "1e-06")], Warnings(new() { Steps = 3 }));
        Assert.Equal([Told(1, "0", "0.5")], Warnings(new() { Steps = 1, LearningRate = 0.5, Schedule = LearningRateSchedules.Linear(2) }));
        Assert.Equal([Told(2, "0.0417", "0.125")], Warnings(new() { Steps = 2, Schedule = LearningRateSchedules.Cosine(3) }, Sgd));
        Assert.Empty(Warnings(new() { Steps = 3, Schedule = LearningRateSchedules.Paper(2) }));
        Assert.Empty(Warnings(new() { Steps = 3, Schedule = LearningRateSchedules.Linear(1) }));
        Assert.Empty(Warnings(new() { Steps = 3, Schedule = (_, _) => 0.5 }));
        Assert.Empty(Warnings(new() { Steps = 3 }, Sgd));
    }
}
