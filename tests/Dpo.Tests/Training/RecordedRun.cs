using System.Text.Json;

namespace Dpo.Tests;

/// <summary>What a recorded run of TRL's trainer was given (<c>Fixtures/trajectories</c>). The benchmarks' <c>device</c> replays the same runs.</summary>
internal static class RecordedRun
{
    /// <summary>Its options.</summary>
    public static TrainingOptions Options(JsonElement config)
    {
        double Number(string field) => config.GetProperty(field).GetDouble();
        int Integer(string field) => config.GetProperty(field).GetInt32();
        var warmup = Integer("warmup_steps");
        return new TrainingOptions
        {
            Optimizer = config.GetProperty("optim").GetString() == "rmsprop" ? OptimizerKind.RmsProp : OptimizerKind.AdamW,
            LearningRate = Number("learning_rate"),
            Schedule = config.GetProperty("lr_scheduler_type").GetString() == "linear"
                ? LearningRateSchedules.Linear(warmup)
                : LearningRateSchedules.TrlConstant(warmup),
            WeightDecay = Number("weight_decay"),
            MaxGradNorm = Number("max_grad_norm"),
            BatchSize = Integer("per_device_train_batch_size") * Integer("gradient_accumulation_steps"),
            MicroBatchSize = Integer("per_device_train_batch_size"),
            Steps = Integer("max_steps"),
            Shuffle = false,
        };
    }

    /// <summary>Its data, as ids.</summary>
    public static PreferenceData Data(JsonElement config)
    {
        using var file = JsonDocument.Parse(File.ReadAllText(Path.Combine(AppContext.BaseDirectory, "Fixtures", "trajectories", "ids.json")));
        var rows = file.RootElement.GetProperty("rows");
        var maxLength = config.GetProperty("max_length").GetInt32();
        return new PreferenceData([.. Ints(config.GetProperty("rows_used")).Select(index =>
        {
            var prompt = Ints(rows[index].GetProperty("prompt_ids"));
            IReadOnlyList<int> Completion(string name) => [.. Ints(rows[index].GetProperty(name)).Take(maxLength - prompt.Length)];
            return new TrainingExample(prompt, [Completion("chosen_ids"), Completion("rejected_ids")], [new(0, 1)]);
        })]);
    }

    private static int[] Ints(JsonElement list) => [.. list.EnumerateArray().Select(value => value.GetInt32())];
}
