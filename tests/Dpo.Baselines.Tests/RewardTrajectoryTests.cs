using System.Text.Json;
using Dpo.Tests;
using Dpo.Weights;
using static TorchSharp.torch;

namespace Dpo.Baselines.Tests;

/// <summary>Runs of TRL's own <c>RewardTrainer</c>, replayed: every recorded step's numbers must come out again.</summary>
public class RewardTrajectoryTests
{
    public static TheoryData<string> Runs =>
    [
        "gpt2_adamw", "gpt2_adamw_margin", "gpt2_filtered_accum2", "gpt2_rmsprop_center", "gpt2_rmsprop_margin_center",
        "llama_adamw", "llama_adamw_margin", "llama_rmsprop_center", "llama_rmsprop_margin_center",
    ];

    [Theory]
    [MemberData(nameof(Runs))]
    public void Every_step_equals_TRLs(string run)
    {
        var (config, expected) = (Numbers.Json("reward", run, "config.json"), Numbers.Json("reward", run, "expected.json"));
        double Number(string field) => config.GetProperty(field).GetDouble();
        int Integer(string field) => config.GetProperty(field).GetInt32();
        using var reward = Model(run.Split('_')[0]);
        var data = Data(config);
        var center = config.GetProperty("center_rewards_coefficient") is { ValueKind: JsonValueKind.Number } coefficient
            ? coefficient.GetDouble() : 0;
        // Without centring a constant on all rewards is free, and rounding moves it.
        var isCentred = center > 0;
        AssertRewards("initial_rewards", isExact: true);

        using var trainer = new RewardTrainer(
            reward, new RewardOptions { CenterCoefficient = center, UseMargin = config.GetProperty("margin").GetBoolean() },
            new TrainingOptions
            {
                Optimizer = config.GetProperty("optim").GetString() == "rmsprop" ? OptimizerKind.RmsProp : OptimizerKind.AdamW,
                LearningRate = Number("learning_rate"),
                Schedule = config.GetProperty("lr_scheduler_type").GetString() == "linear"
                    ? LearningRateSchedules.Linear(Integer("warmup_steps"))
                    : LearningRateSchedules.TrlConstant(Integer("warmup_steps")),
                WeightDecay = Number("weight_decay"),
                MaxGradNorm = Number("max_grad_norm"),
                BatchSize = Integer("per_device_train_batch_size") * Integer("gradient_accumulation_steps"),
                MicroBatchSize = Integer("per_device_train_batch_size"),
                Steps = Integer("max_steps"),
                Shuffle = false,
            });
        var steps = new List<TrainingMetrics>();
        // TRL's loss is the mean of micro-batches' means, ours is over pairs. So the rows of a last micro-batch that is half as large
        // count twice.
        var size = Integer("per_device_train_batch_size");
        var isCutByTrl = Integer("gradient_accumulation_steps") > 1;
        var isUneven = data.Examples.Count % size != 0;
        using var trained = new PreferenceData([.. data.Examples, .. isUneven ? data.Examples.TakeLast(data.Examples.Count % size) : []]);
        trainer.Train(trained, progress: new Recorder(steps));

        Assert.Equal(expected.GetProperty("steps").GetArrayLength(), steps.Count);
        foreach (var (step, values) in steps.Zip(expected.GetProperty("steps").EnumerateArray()))
        {
            foreach (var name in (string[])["loss", "grad_norm", "accuracy", "margin", .. isUneven ? [] : (string[])["num_tokens"]])
                Numbers.AssertClose(values.GetProperty(name).GetDouble(), step[name], 1e-4, $"step {step.Step}, {name}");
            var tolerance = isCentred || !run.StartsWith("gpt2", StringComparison.Ordinal) ? 1e-4 : 1e-3;
            // TRL's least and largest of a step are means over its micro-batches, ours are over all of it.
            foreach (var name in (string[])["mean_reward", .. isCutByTrl ? [] : (string[])["min_reward", "max_reward"]])
                Numbers.AssertClose(values.GetProperty(name).GetDouble(), step[name], tolerance, $"step {step.Step}, {name}");
            Assert.InRange(step["min_reward"], double.MinValue, values.GetProperty("min_reward").GetDouble() + tolerance);
            Assert.InRange(step["max_reward"], values.GetProperty("max_reward").GetDouble() - tolerance, double.MaxValue);
            Numbers.AssertClose(values.GetProperty("learning_rate_used").GetDouble(), step["learning_rate"], 1e-9, "learning rate");
        }
        AssertRewards("final_rewards", isCentred);
        AssertWeights();

        void AssertRewards(string name, bool isExact)
        {
            var (recorded, rewards) = (expected.GetProperty(name), reward.Score(data).ToArray());
            double[] chosen = [.. rewards.Select(of => (double)of[0])], rejected = [.. rewards.Select(of => (double)of[1])];
            double[] whereChosen = recorded.GetProperty("chosen").Doubles(), whereRejected = recorded.GetProperty("rejected").Doubles();
            Numbers.AssertClose(whereChosen, chosen, isExact ? 1e-4 : 1e-3, name + " of chosen");
            Numbers.AssertClose(whereRejected, rejected, isExact ? 1e-4 : 1e-3, name + " of rejected");
            Numbers.AssertClose(
                [.. whereChosen.Zip(whereRejected, (one, other) => one - other)],
                [.. chosen.Zip(rejected, (one, other) => one - other)], 1e-4, name + ", differences");
        }

        void AssertWeights()
        {
            var leftOut = expected.GetProperty("weights_left_out").EnumerateArray().Select(name => name.GetString()).ToHashSet();
            foreach (var (name, parameter) in reward.Model.named_parameters().Where(named => !leftOut.Contains(named.name)))
            {
                var weight = expected.GetProperty("final_weights").GetProperty(name);
                var values = parameter.detach().flatten().ToDoubles();
                Numbers.AssertClose(weight.GetProperty("l2").GetDouble(), Math.Sqrt(values.Sum(value => value * value)), 1e-4, name);
                var first = weight.GetProperty("first").Doubles();
                Numbers.AssertClose(first, values[..first.Length], 1e-4, name);
            }
        }
    }

    /// <summary>A language model of the fixtures with the recorded head.</summary>
    internal static RewardModel Model(string family)
    {
        var model = CausalLanguageModel.LoadScalar(Fixture.Path("models", family));
        using var head = ModelWeights.OpenFile(Fixture.Path("reward", $"head_{family}.safetensors"));
        using (no_grad())
            head.LoadInto([("score.weight", model.Head.Weight!)], ignored: null);
        return new RewardModel(model);
    }

    /// <summary>The rows, of which completions share what they begin with.</summary>
    private static PreferenceData Data(JsonElement config)
    {
        var ids = Numbers.Json("reward", "ids.json");
        return new PreferenceData([.. config.GetProperty("rows_used").Ints().Select(index =>
        {
            var row = ids.GetProperty("rows")[index];
            int[] chosen = row.GetProperty("chosen_ids").Ints(), rejected = row.GetProperty("rejected_ids").Ints();
            var shared = chosen.Zip(rejected).TakeWhile(both => both.First == both.Second).Count();
            return new TokenizedExample(chosen[..shared], [chosen[shared..], rejected[shared..]], [new PreferencePair(0, 1)])
            {
                Scores = [(float)ids.GetProperty("margin")[index].GetDouble(), 0],
            };
        })]);
    }
}
