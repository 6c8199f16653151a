using static TorchSharp.torch;

namespace Dpo.Tests;

public class TensorCountTests
{
    [Fact]
    public void Tensors_and_memory_stay_flat_over_200_steps()
    {
        // What earlier tests left to the finalizers must not go while this one counts.
        GC.Collect();
        GC.WaitForPendingFinalizers();
        var data = TrainerTests.Data(16);
        using var pair = new PolicyReferencePair(new Gpt2(TrainerTests.Shape, seed: 5));
        using var trainer = new DpoTrainer(pair, options: TrainerTests.Options with { Steps = 230 });
        var (tensors, memory) = (new List<long>(), new List<long>());
        trainer.Train(data, progress: new TrainerTests.Callback(metrics =>
        {
            tensors.Add(Tensor.TotalCount);
            // The first steps make the optimizer's state and warm the allocators up.
            if (metrics.Step is 30 or 230)
            {
                // .NET lets its own garbage grow to about 100 MB before it collects any.
                GC.Collect(GC.MaxGeneration, GCCollectionMode.Aggressive, blocking: true, compacting: true);
                memory.Add(Environment.WorkingSet);
            }
        }));
        Assert.Equal(tensors[29], tensors[^1]);
        Assert.True(memory[1] < memory[0] + (48 << 20), $"{memory[0]} grew to {memory[1]}");
    }

    /// <summary>Losses of every kind, the batch in parts: those that couple it keep its log-probabilities for a while.</summary>
    [Theory]
    [InlineData("aot sft")]
    [InlineData("wpo ld hinge")]
    [InlineData("plackett_luce")]
    public void No_loss_leaves_a_tensor_behind(string name)
    {
        GC.Collect();
        GC.WaitForPendingFinalizers();
        var data = LossFamilyTests.Data(8, labelled: false);
        using var pair = new PolicyReferencePair(new Gpt2(TrainerTests.Shape, seed: 5));
        using var trainer = new DpoTrainer(pair, LossFamilyTests.Named(name).Create(), TrainerTests.Options with { Steps = 8, MicroBatchSize = 3 });
        var tensors = new List<long>();
        trainer.Train(data, data, new TrainerTests.Callback(_ => tensors.Add(Tensor.TotalCount)));
        Assert.Equal(tensors[3], tensors[^1]);
    }

    [Theory]
    [InlineData(Precision.Float32)]
    [InlineData(Precision.BFloat16)]
    public void Sampling_leaves_no_tensor_behind(Precision precision)
    {
        using var model = new Gpt2(TrainerTests.Shape) { Precision = precision };
        void Sample()
        {
            foreach (var samples in (int[])[1, 3])
            {
                Sampler.Sample(model, [[1, 2, 3], [4], [2, 2]], new SamplingOptions
                {
                    MaxNewTokens = 8,
                    EndOfTextIds = [0, 1, 2, 3],
                    SamplesPerPrompt = samples,
                    RepetitionPenalty = 1.1,
                    TopP = 0.9,
                    Seed = 5,
                });
            }
        }
        Sample();
        TensorCount.AssertFlat(Sample);
        // An exception on the way out leaves nothing either.
        TensorCount.AssertFlat(() => Assert.Throws<NotSupportedException>(() =>
            Sampler.Sample(model, [[1, 2]], new() { MaxNewTokens = 3 }, onToken: _ => throw new NotSupportedException())));
    }

    [Fact]
    public void Reference_log_probabilities_leave_no_tensor_behind()
    {
        var data = TrainerTests.Data(8);
        using var pair = new PolicyReferencePair(new Gpt2(TrainerTests.Shape));
        using var folder = new TemporaryFolder();
        void ComputeSaveAndLoad()
        {
            ReferenceLogProbs.LoadOrCompute(folder.File("reference.safetensors"), pair, data, maxTokens: 60);
            ReferenceLogProbs.Load(folder.File("reference.safetensors"), pair, data);
            File.Delete(folder.File("reference.safetensors"));
        }
        ComputeSaveAndLoad();
        TensorCount.AssertFlat(ComputeSaveAndLoad);
    }

    [Fact]
    public void A_released_reference_frees_a_tensor_for_every_parameter()
    {
        using var copy = new PolicyReferencePair(new Gpt2(TrainerTests.Shape));
        using var model = new PolicyReferencePair(new Gpt2(TrainerTests.Shape), new Gpt2(TrainerTests.Shape));
        var parameters = copy.Policy.parameters().Count();
        Assert.Equal(2 + 12 * TrainerTests.Shape.LayerCount + 2, parameters);
        foreach (var pair in new[] { copy, model })
        {
            GC.Collect();
            GC.WaitForPendingFinalizers();
            var before = Tensor.TotalCount;
            pair.ReleaseReference();
            Assert.Equal(before - parameters, Tensor.TotalCount);
        }
    }

    /// <summary>Whole, in half the memory, with an adapter over it: no tensor is counted that is gone.</summary>
    [Theory]
    [InlineData("gpt2")]
    [InlineData("gptj")]
    [InlineData("gpt_neox")]
    [InlineData("llama")]
    [InlineData("gemma2")]
    [InlineData("phi3")]
    public void A_model_that_was_loaded_and_disposed_leaves_none_behind(string folder) => TensorCount.AssertFlat(() =>
    {
        using (var model = CausalLanguageModel.Load(Fixture.Path("models", folder)))
            Assert.All(model.parameters(), parameter => Assert.True(parameter.requires_grad));
        using (var model = CausalLanguageModel.Load(Fixture.Path("models", folder), dtype: ScalarType.BFloat16))
            Assert.Contains(model.parameters(), parameter => parameter is { dtype: ScalarType.BFloat16, requires_grad: false });
        using (var model = CausalLanguageModel.Load(Fixture.Path("models", folder)))
        {
            model.AddLora(new LoraOptions { BaseInBFloat16 = true });
            using var pair = new PolicyReferencePair(model);
        }
    });

    [Fact]
    public void Nor_does_one_that_was_made()
    {
        TensorCount.AssertFlat(() => new Gpt2(TrainerTests.Shape).Dispose());
    }

    [Fact]
    public void Making_a_model_draws_nothing_from_the_processs_random_generator()
    {
        byte[] State()
        {
            using var state = Generator.Default.get_state();
            return state.bytes.ToArray();
        }
        var before = State();
        using (new Gpt2(TrainerTests.Shape))
        {
        }
        foreach (var folder in (string[])["gpt2", "llama", "gemma2"])
            CausalLanguageModel.Load(Fixture.Path("models", folder)).Dispose();
        Assert.Equal(before, State());
    }
}
