using TorchSharp;
using static TorchSharp.torch;

namespace Dpo.Tests;

/// <summary>Models whose matrices are kept in another type than fp32, and devices that there are not.</summary>
public sealed class ModelTypeTests : IDisposable
{
    private readonly TemporaryFolder folder = new();

    public void Dispose() => folder.Dispose();

    public static TheoryData<string, ScalarType> Types
    {
        get
        {
            var types = new TheoryData<string, ScalarType>();
            foreach (var family in (string[])["gpt2", "gptj", "gpt_neox", "llama", "llama_bf16", "qwen3", "gemma2", "phi3"])
            {
                types.Add(family, ScalarType.BFloat16);
                types.Add(family, ScalarType.Float16);
            }
            return types;
        }
    }

    [Theory]
    [MemberData(nameof(Types))]
    public void Matrices_are_kept_in_the_type_and_computed_with_as_rounded(string family, ScalarType type)
    {
        using var scope = NewDisposeScope();
        using var model = CausalLanguageModel.Load(Fixture.Path("models", family), dtype: type);
        using var rounded = CausalLanguageModel.Load(Fixture.Path("models", family));
        var values = rounded.named_parameters().ToDictionary(named => named.name, named => named.parameter);
        long bytes = 0;
        long elements = 0;
        foreach (var (name, parameter) in model.named_parameters())
        {
            Assert.False(parameter.requires_grad, name);
            Assert.Equal(parameter.dim() == 2 ? type : ScalarType.Float32, parameter.dtype);
            (bytes, elements) = (bytes + parameter.numel() * parameter.ElementSize, elements + parameter.numel());
            using var noGrad = no_grad();
            values[name].copy_(values[name].to(parameter.dtype));
            Assert.True(values[name].eq(parameter).all().item<bool>(), name);
        }
        Assert.InRange(bytes, 2 * elements, 2.4 * elements);
        Numbers.AssertClose(LoraModels.LogProbs(rounded), LoraModels.LogProbs(model), 1e-6);
    }

    /// <summary>What a step of training needs of a model of 7B: its weights in bf16, once.</summary>
    [Fact]
    public void Loading_bf16_takes_no_more_memory_than_bf16_and_LoRA_over_it_trains()
    {
        if (!OperatingSystem.IsLinux())
            return;
        var config = new LlamaConfig
        {
            VocabularySize = 8192,
            HiddenSize = 1024,
            InnerSize = 2816,
            LayerCount = 3,
            HeadCount = 8,
            MaxPositions = 128,
            TieWordEmbeddings = false,
        };
        using (var scope = NewDisposeScope())
        using (var made = new Llama(config))
        {
            made.Config.Write(folder.Path);
            ModelWeights.Save(folder.Path, [.. made.named_parameters().Select(named => (named.name, named.parameter.detach().to(ScalarType.BFloat16)))]);
        }
        var size = new FileInfo(folder.File("model.safetensors")).Length;
        var before = Resident("VmRSS");
        File.WriteAllText("/proc/self/clear_refs", "5"); // the peak counts anew from here
        using var model = CausalLanguageModel.Load(folder.Path, CPU, ScalarType.BFloat16);
        model.AddLora(new LoraOptions { Rank = 4 });
        var peak = Resident("VmHWM") - before;
        Assert.True(peak < 1.25 * size, $"{peak} bytes more for weights of {size}");

        _ = LoraModels.Gradients(model);
        Assert.All(model.named_parameters(), named => Assert.Equal(LoraModels.IsAdapter(named.name), named.parameter.requires_grad));
    }

    [Fact]
    public void Such_weights_are_not_trained_but_serve_as_a_reference_and_under_an_adapter()
    {
        var path = Fixture.Path("models", "llama_bf16");
        const string message = "The model's weights are kept as BFloat16 and frozen, since updates as small as DPO's cannot move them; load it without a " +
            "dtype, as fp32, or train a LoRA adapter over it (AddLora). (Parameter 'model')";
        using (var policy = CausalLanguageModel.Load(path, dtype: ScalarType.BFloat16))
        {
            Assert.Equal(message, Assert.Throws<ArgumentException>(() => new SftTrainer(policy, new TrainingOptions())).Message);
            using var pair = new PolicyReferencePair(policy);
            Assert.Equal(message, Assert.Throws<ArgumentException>(() => new DpoTrainer(pair, new DpoLoss(0.1), new TrainingOptions())).Message);
        }

        // The file is bf16 itself, so that a reference in bf16 is the policy to the bit.
        using var both = new PolicyReferencePair(CausalLanguageModel.Load(path), CausalLanguageModel.Load(path, dtype: ScalarType.BFloat16));
        using var scope = NewDisposeScope();
        var (logProbs, reference) = both.LogProbs(LoraModels.Batch.To(CPU));
        Assert.Equal(logProbs.PerToken.detach().ToDoubles(), reference.PerToken.ToDoubles());

        using var adapted = CausalLanguageModel.Load(path, dtype: ScalarType.BFloat16);
        using var rounded = CausalLanguageModel.Load(path);
        adapted.AddLora(LoraModels.Options);
        rounded.AddLora(LoraModels.Options with { BaseInBFloat16 = true });
        Assert.Equal(LoraModels.Values(rounded), LoraModels.Values(adapted));
        Assert.Equal(LoraModels.Gradients(rounded), LoraModels.Gradients(adapted));
        adapted.Save(folder.Path);
        using var saved = CausalLanguageModel.Load(folder.Path);
        Assert.Equal(LoraModels.LogProbs(saved), LoraModels.LogProbs(rounded));
    }

    /// <summary>Memory of another device is not here to test with; a tensor without memory shows that a module's move takes each along.</summary>
    [Fact]
    public void Matrices_in_another_type_and_a_head_that_was_untied_move_with_the_model()
    {
        using var model = CausalLanguageModel.Load(Fixture.Path("models", "gpt2"), dtype: ScalarType.BFloat16);
        model.AddLora(new LoraOptions { TargetModules = ["c_attn", "lm_head"] });
        var before = model.named_parameters().ToDictionary(named => named.name, named => (named.parameter.dtype, named.parameter.requires_grad));
        Assert.Contains("lm_head.weight", before.Keys);
        model.to(META);
        Assert.Equal(DeviceType.META, model.Head.Weight!.device.type);
        Assert.All(model.named_parameters(), named =>
        {
            Assert.Equal(DeviceType.META, named.parameter.device.type);
            Assert.Equal(before[named.name], (named.parameter.dtype, named.parameter.requires_grad));
        });
    }

    [Fact]
    public void Values_beyond_fp16_and_types_that_are_none_are_refused()
    {
        using (var model = CausalLanguageModel.Load(Fixture.Path("models", "gpt2")))
        {
            using (no_grad())
                model.get_parameter("transformer.h.1.mlp.c_fc.weight")!.fill_(65520f);
            model.Save(folder.Path);
        }
        Assert.Equal(
            $"{folder.File("model.safetensors")}: tensor \"transformer.h.1.mlp.c_fc.weight\" has values beyond 65504, the largest in fp16; load it as bf16 or fp32.",
            Assert.Throws<InvalidInputException>(() => CausalLanguageModel.Load(folder.Path, dtype: ScalarType.Float16)).Message);
        CausalLanguageModel.Load(folder.Path, dtype: ScalarType.BFloat16).Dispose();
        Assert.Equal(
            "A model's weights are kept as Float32, BFloat16 or Float16, not as Float64. (Parameter 'dtype')",
            Assert.Throws<ArgumentException>(() => CausalLanguageModel.Load(folder.Path, dtype: ScalarType.Float64)).Message);
    }

    [Fact]
    public void A_device_that_there_is_not_is_refused_in_one_sentence()
    {
        if (cuda.is_available())
            return;
        const string message = "cannot be used: the program carries LibTorch for the CPU alone, or the machine has no such NVIDIA GPU; reference " +
            "TorchSharp-cuda-linux or TorchSharp-cuda-windows instead of TorchSharp-cpu on a machine with one, or take the CPU.";
        foreach (var (absent, name) in ((Device, string)[])[(new Device("cuda"), "cuda"), (new Device("cuda:1"), "cuda:1")])
        {
            foreach (var load in (Func<IDisposable>[])[
                () => CausalLanguageModel.Load(Fixture.Path("models", "gpt2"), absent),
                () => PolicyReferencePair.Load(Fixture.Path("models", "gpt2"), absent),
                () => RobertaClassifier.Load(Fixture.Path("models", "roberta"), absent)])
            {
                Assert.Equal($"The device {name} {message}", Assert.Throws<InvalidInputException>(load).Message);
            }
        }
    }

    /// <summary>A number of bytes that Linux keeps of this process.</summary>
    private static long Resident(string field)
    {
        var line = File.ReadLines("/proc/self/status").First(line => line.StartsWith(field + ":", StringComparison.Ordinal));
        return 1024 * long.Parse(line.Split((char[]?)null, StringSplitOptions.RemoveEmptyEntries)[1], System.Globalization.CultureInfo.InvariantCulture);
    }
}
