using static TorchSharp.torch;

namespace Dpo.Tests;

/// <summary>The library with the default device set to <c>meta</c>, whose tensors have no memory: one that was put there by oversight has
/// no values, or cannot meet the others. A program that sets its default device to a GPU would find the same tensors there.</summary>
public sealed class DefaultDeviceTests : IDisposable
{
    private static readonly TrainingOptions Options = TrainerTests.Options with
    {
        Steps = 3,
        BatchSize = 6,
        MicroBatchSize = 4,
        DetailedMetrics = true,
        MoveReferenceEvery = 2,
        EvaluateEvery = 2,
    };

    private readonly TemporaryFolder folder = new();

    public void Dispose() => folder.Dispose();

    [Theory]
    [MemberData(nameof(Architectures.Folders), MemberType = typeof(Architectures))]
    public void Models_load_train_sample_and_are_saved_as_ever(string architecture)
    {
        Alike(() =>
        {
            using var pair = new PolicyReferencePair(Architectures.Load(architecture));
            var metrics = Train(pair, new DpoLoss(), Options);
            var policy = (TransformerModel)pair.Policy;
            SampledCompletion[] sampled = [.. Sampler.Sample(policy, [[1, 2, 3], [4]], new SamplingOptions { MaxNewTokens = 6, SamplesPerPrompt = 2, TopP = 0.9 })];
            policy.Save(folder.File("saved"));
            using var again = CausalLanguageModel.Load(folder.File("saved"));
            Assert.All(again.parameters().Zip(policy.parameters()), both => Assert.Equal(both.Second.ToDoubles(), both.First.ToDoubles()));
            return [.. metrics, .. sampled.SelectMany(each => each.LogProbs).Select(value => (double)value)];
        });
    }

    [Theory]
    [MemberData(nameof(Architectures.Folders), MemberType = typeof(Architectures))]
    public void Attention_in_buckets_is_what_it_ever_is(string architecture)
    {
        Alike(() =>
        {
            using var scope = NewDisposeScope();
            using var noGrad = no_grad();
            using var model = Architectures.Load(architecture);
            var batch = new PreferenceBatch(TrainerTests.Data(6).Examples).To(CPU);
            return model.HiddenStates(batch.Ids, new BucketedAttention(batch.Layout, CPU, float32, Architectures.Windows(model))).flatten().ToDoubles();
        });
    }

    [Theory]
    [MemberData(nameof(LossFamilyTests.Names), MemberType = typeof(LossFamilyTests))]
    public void Losses_train_an_adapter_with_AdamW_in_bf16(string losses)
    {
        Alike(() =>
        {
            using var model = new Gpt2(TrainerTests.Shape, seed: 5) { Precision = Precision.BFloat16, CheckpointActivations = true };
            model.AddLora(LoraModels.Options with { Dropout = 0.3 });
            using var pair = new PolicyReferencePair(model);
            var options = Options with { Optimizer = OptimizerKind.AdamW, Checkpoints = new() { Folder = folder.File($"checkpoints-{Guid.NewGuid():N}"), Every = 2 } };
            return Train(pair, LossFamilyTests.Named(losses).Create(), options, losses == "kto");
        });
    }

    /// <summary>Heads of 16 entries, as the fixtures have none: they are attended to through their memory.</summary>
    [Theory]
    [InlineData(Precision.Float32)]
    [InlineData(Precision.BFloat16)]
    public void Heads_of_a_vector_s_size_are_sampled_from_as_ever(Precision precision)
    {
        Alike(() =>
        {
            using var model = new Gpt2(TrainerTests.Shape with { HiddenSize = 32 }, seed: 5) { Precision = precision };
            return [.. Sampler.Sample(model, [[1, 2, 3], [4]], new SamplingOptions { MaxNewTokens = 8, SamplesPerPrompt = 2 })
                .SelectMany(each => each.LogProbs).Select(value => (double)value)];
        });
    }

    [Fact]
    public void Reference_log_probabilities_go_into_a_file_and_come_out_of_it()
    {
        Alike(() =>
        {
            using var pair = new PolicyReferencePair(new Gpt2(TrainerTests.Shape, seed: 5));
            var path = folder.File($"{Guid.NewGuid():N}.safetensors");
            var computed = ReferenceLogProbs.LoadOrCompute(path, pair, TrainerTests.Data(6));
            var loaded = ReferenceLogProbs.LoadOrCompute(path, pair, TrainerTests.Data(6));
            Assert.Equal(Values(computed), Values(loaded));
            return Values(computed);
        });

        static double[] Values(PreferenceData data) => [.. data.Examples.SelectMany(example => example.ReferenceLogProbs!.SelectMany(values => values)).Select(value => (double)value)];
    }

    [Fact]
    public void Classifiers_score_texts()
    {
        Alike(() =>
        {
            using var classifier = RobertaClassifier.Load(Fixture.Path("models", "roberta"));
            return [.. classifier.LogProbabilities(["a fine film", "a poor one, and long"]).SelectMany(values => values)];
        });
    }

    private static double[] Train(PolicyReferencePair pair, IPreferenceLoss loss, TrainingOptions options, bool labelled = false)
    {
        var data = LossFamilyTests.Data(12, labelled);
        using var trainer = new DpoTrainer(pair, loss, loss.UsesReference ? options : options with { MoveReferenceEvery = null });
        var steps = new List<TrainingMetrics>();
        trainer.Train(data, data, new Recorder(steps));
        return [.. steps.SelectMany(step => step.Values.OrderBy(metric => metric.Key, StringComparer.Ordinal)).Select(metric => metric.Value)];
    }

    /// <summary>Runs twice, on the CPU by default and on <c>meta</c>, and compares to the bit.</summary>
    private static void Alike(Func<double[]> run)
    {
        var expected = run();
        set_default_device(META);
        try
        {
            Assert.Equal(expected, run());
        }
        finally
        {
            set_default_device(CPU);
        }
    }
}
