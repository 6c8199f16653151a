using static TorchSharp.torch;

namespace Dpo.Tests;

/// <summary>The very files that <c>../shared/cases</c> has of models and adapters; classes of them are tested in files of their own.</summary>
public class SharedCasesTests
{
    [SharedFact("cases/tied_head/model")]
    public void The_stored_head_is_used()
    {
        var path = Fixture.Shared("cases", "tied_head", "model")!;
        using var model = CausalLanguageModel.Load(path);
        using var file = new SafetensorsReader(Path.Combine(path, "model.safetensors"));
        using var head = file.Read("lm_head.weight");
        Assert.True(model.Head.Weight!.eq(head).all().item<bool>());
    }

    [SharedFact("cases/peft")]
    public void PEFTs_adapters_have_the_values_of_their_files()
    {
        foreach (var folder in Directory.GetDirectories(Fixture.Shared("cases", "peft")!).Order(StringComparer.Ordinal))
        {
            using var scope = NewDisposeScope();
            using var model = LoraModels.Load("llama");
            model.LoadAdapter(folder);
            var parameters = model.named_parameters().ToDictionary(named => named.name, named => named.parameter);
            using var file = new SafetensorsReader(Path.Combine(folder, "adapter_model.safetensors"));
            foreach (var name in file.Names)
                Assert.True(parameters[name["base_model.model.".Length..]].eq(file.Read(name)).all().item<bool>(), $"{folder}: {name}");
            Assert.Equal(folder.EndsWith("ad_mts", StringComparison.Ordinal), parameters["lm_head.weight"].requires_grad);
            Assert.NotEmpty(LoraModels.Gradients(model));
        }
    }

    [SharedFact("cases/hostile")]
    public void Hostile_files_are_refused_for_next_to_nothing()
    {
        string Case(string name) => Fixture.Shared("cases", "hostile", name)!;
        using var model = LoraModels.Load("gpt2");
        (string Begins, Action Read)[] cases =
        [
            ($"{Case("b_shape_amplify_small")}/pytorch_model.bin: its pickle, at byte ", () => CausalLanguageModel.Load(Case("b_shape_amplify_small"))),
            ($"{Case("a_r_16777216")}/adapter_model.safetensors: tensor ", () => model.LoadAdapter(Case("a_r_16777216"))),
            ($"{Case("m_llama_heads_overflow_zero_tensors")}/config.json: `head_dim` is 65536; ", () => CausalLanguageModel.Load(Case("m_llama_heads_overflow_zero_tensors"))),
        ];
        foreach (var (begins, read) in cases)
        {
            var before = GC.GetAllocatedBytesForCurrentThread();
            Assert.StartsWith(begins, Assert.Throws<InvalidInputException>(read).Message, StringComparison.Ordinal);
            Assert.InRange(GC.GetAllocatedBytesForCurrentThread() - before, 0, 20_000_000);
        }
    }

    [SharedFact("cases/saved_files/model")]
    public void All_files_of_a_model_are_saved()
    {
        var path = Fixture.Shared("cases", "saved_files", "model")!;
        using var folder = new TemporaryFolder();
        using (var model = CausalLanguageModel.Load(path))
            model.Save(folder.Path);
        TextTokenizer.Load(path).Save(folder.Path);
        Assert.Equal(Files(path), Files(folder.Path));

        static IEnumerable<string> Files(string folder) => Directory.GetFiles(folder, "*", SearchOption.AllDirectories)
            .Select(file => Path.GetRelativePath(folder, file)).Order(StringComparer.Ordinal);
    }
}
