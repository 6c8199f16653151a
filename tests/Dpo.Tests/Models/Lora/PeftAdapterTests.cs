using System.Text.Json.Nodes;
using TorchSharp;
using static TorchSharp.torch;

namespace Dpo.Tests;

/// <summary>Adapters as PEFT writes them beyond the plain ones, against whole models whose weights the test works out itself.</summary>
public sealed class PeftAdapterTests : IDisposable
{
    private const string Prefix = "base_model.model.";

    private readonly TemporaryFolder folder = new();
    private readonly DisposeScope scope = NewDisposeScope();
    private readonly Generator generator = new(7);

    public void Dispose()
    {
        generator.Dispose();
        scope.Dispose();
        folder.Dispose();
    }

    public static TheoryData<string, string> Cases
    {
        get
        {
            var cases = new TheoryData<string, string>();
            foreach (var family in (string[])["gpt2", "gptj", "gpt_neox", "llama", "qwen2", "gemma2", "phi3"])
            {
                foreach (var kind in (string[])[
                    "saved embeddings", "saved equal embeddings", "resized embeddings", "head saved", "embedding saved", "both saved", "norm saved",
                    "rank pattern", "alpha pattern", "rslora pattern", "head adapted", "head and embeddings", "bias all", "bias lora_only", "bias lora_only older",
                    "bias lora_only unsaved"])
                {
                    // GPT-J's head has a bias, whose length an embedding does not say.
                    if (!(family == "gptj" && kind == "resized embeddings"))
                        cases.Add(family, kind);
                }
            }
            return cases;
        }
    }

    [Theory]
    [MemberData(nameof(Cases))]
    public void PEFTs_adapters_compute_train_and_are_saved_as_the_formula_says(string family, string kind)
    {
        var adapter = new Adapter(this, family, kind);
        adapter.Write(folder.File("adapter"));
        using var expected = adapter.WholeModel(folder.File("whole"));
        using var model = LoraModels.Load(family);
        model.LoadAdapter(folder.File("adapter"));
        var logProbs = LoraModels.LogProbs(model);
        Numbers.AssertClose(LoraModels.LogProbs(expected), logProbs, 1e-5);
        Assert.Equal(adapter.Rows, model.VocabularySize);

        // What is trained, and its gradients: those of the whole model, through W + s·BA for the matrices.
        var trained = model.named_parameters().Where(named => named.parameter.requires_grad).Select(named => named.name).Order(StringComparer.Ordinal);
        Assert.Equal(adapter.Trained.Order(StringComparer.Ordinal), trained);
        var (whole, own) = (LoraModels.Gradients(expected), LoraModels.Gradients(model));
        Assert.Equal(adapter.Trained.Order(StringComparer.Ordinal), own.Keys.Order(StringComparer.Ordinal));
        foreach (var (name, gradient) in own)
            LoraModels.AssertRelative(adapter.GradientOf(name, whole), gradient, 2e-4, name);

        // Saved in PEFT's layout with all its numbers, loaded to the bit; merged, and sampled from.
        model.SaveAdapter(folder.File("saved"));
        using (var file = new SafetensorsReader(folder.File("saved/adapter_model.safetensors")))
        {
            Assert.Equal(adapter.SavedNames.Order(StringComparer.Ordinal), file.Names.Order(StringComparer.Ordinal));
            foreach (var name in file.Names.Where(adapter.Tensors.ContainsKey))
                Assert.True(file.Read(name).eq(adapter.Tensors[name]).all().item<bool>(), name);
        }
        var config = JsonNode.Parse(File.ReadAllText(folder.File("saved/adapter_config.json")))!;
        foreach (var field in (string[])["r", "lora_alpha", "use_rslora", "target_modules", "bias", "modules_to_save", "rank_pattern", "alpha_pattern"])
            Assert.True(JsonNode.DeepEquals(adapter.Config[field], config[field]), $"{field}: {config[field]}");
        using var again = LoraModels.Load(family);
        again.LoadAdapter(folder.File("saved"));
        Assert.Equal(logProbs, LoraModels.LogProbs(again));
        model.Save(folder.File("merged"));
        using var merged = CausalLanguageModel.Load(folder.File("merged"));
        Numbers.AssertClose(logProbs, LoraModels.LogProbs(merged), 1e-5);
        Assert.Equal(Greedy(expected), Greedy(model));
        model.MergeAdapter();
        Numbers.AssertClose(logProbs, LoraModels.LogProbs(model), 1e-5);
        Assert.Equal(Greedy(expected), Greedy(model));
        model.UnmergeAdapter();
        Assert.Equal(logProbs, LoraModels.LogProbs(model));

        // As a checkpoint does it.
        foreach (var (_, parameter) in again.RequireAdapter().Parameters)
        {
            using var noGrad = no_grad();
            parameter.zero_();
        }
        again.ReadAdapterWeights(folder.File("saved"));
        Assert.Equal(logProbs, LoraModels.LogProbs(again));
    }

    [Theory]
    [InlineData("llama", "both saved")]
    [InlineData("gpt2", "head adapted")]
    [InlineData("gpt2", "embedding saved")]
    public void What_is_trained_is_fp32_over_a_base_in_bf16(string family, string kind)
    {
        var adapter = new Adapter(this, family, kind);
        adapter.Write(folder.File("adapter"));
        using var model = LoraModels.Load(family);
        model.LoadAdapter(folder.File("adapter"), baseInBFloat16: true);
        Assert.All(
            model.named_parameters(),
            named => Assert.Equal(named.parameter.requires_grad || named.parameter.dim() == 1 ? ScalarType.Float32 : ScalarType.BFloat16, named.parameter.dtype));
        Assert.Equal(adapter.Trained.Order(StringComparer.Ordinal), LoraModels.Gradients(model).Keys.Order(StringComparer.Ordinal));
        using var direct = CausalLanguageModel.Load(Fixture.Path("models", family), dtype: ScalarType.BFloat16);
        direct.LoadAdapter(folder.File("adapter"));
        Assert.Equal(LoraModels.LogProbs(model), LoraModels.LogProbs(direct));
        TensorCount.AssertFlat(() => _ = LoraModels.Gradients(model));
    }

    [Fact]
    public void An_adapter_made_here_may_have_all_of_it()
    {
        using var model = LoraModels.Load("llama");
        var before = LoraModels.LogProbs(model);
        model.AddLora(new LoraOptions
        {
            Rank = 4,
            TargetModules = ["q_proj", "lm_head"],
            RankPattern = new Dictionary<string, int> { [@"layers\.1\.self_attn\.q_proj"] = 2 },
            AlphaPattern = new Dictionary<string, double> { ["lm_head"] = 3 },
            ModulesToSave = ["embed_tokens"],
            Dropout = 0.5,
        });
        Assert.Equal(before, LoraModels.LogProbs(model));
        LoraModels.Disturb(model);
        // Dropout acts on what enters the head's adapter too: the gradient of A is another with each draw.
        var (first, second) = (LoraModels.Gradients(model), LoraModels.Gradients(model));
        Assert.NotEqual(first["lm_head.lora_A.weight"], second["lm_head.lora_A.weight"]);
        Assert.Equal([2, 32], model.get_parameter("model.layers.1.self_attn.q_proj.lora_A.weight")!.shape);
        Assert.Equal([4, 32], model.get_parameter("model.layers.0.self_attn.q_proj.lora_A.weight")!.shape);
        model.SaveAdapter(folder.Path);
        using var loaded = LoraModels.Load("llama");
        loaded.LoadAdapter(folder.Path);
        Assert.Equal(LoraModels.LogProbs(model), LoraModels.LogProbs(loaded));
    }

    [Theory]
    [InlineData("llama", "head adapted")]
    [InlineData("gpt2", "head adapted")]
    [InlineData("gemma2", "both saved")]
    public void Samples_are_those_of_the_whole_model(string family, string kind)
    {
        var adapter = new Adapter(this, family, kind);
        adapter.Write(folder.File("adapter"));
        using var expected = adapter.WholeModel(folder.File("whole"));
        using var model = LoraModels.Load(family);
        model.LoadAdapter(folder.File("adapter"));
        var tokenizer = TextTokenizer.Load(Fixture.Path("models", family));
        foreach (var merged in (bool[])[false, true])
        {
            if (merged)
                model.MergeAdapter();
            Assert.Equal(Sampled(expected), Sampled(model));
        }
        model.Precision = Precision.BFloat16;
        Assert.Equal(8, Sampled(model).Length);

        int[] Sampled(TransformerModel from) =>
            [.. Sampler.Sample(from, tokenizer, ["Once upon a time"], new SamplingOptions { Temperature = 0, MaxNewTokens = 8, EndOfTextIds = [] }).Single().Tokens];
    }

    [Fact]
    public void An_adapter_in_torchs_format_is_read()
    {
        var adapter = new Adapter(this, "llama", "both saved");
        adapter.Write(folder.File("adapter"), torch: true);
        using var expected = adapter.WholeModel(folder.File("whole"));
        using var model = LoraModels.Load("llama");
        model.LoadAdapter(folder.File("adapter"));
        Numbers.AssertClose(LoraModels.LogProbs(expected), LoraModels.LogProbs(model), 1e-5);
    }

    [Theory]
    [InlineData("ad_rank_pattern")]
    [InlineData("ad_lmhead_target")]
    public void Files_that_PEFT_wrote_are_read_and_written_again(string name)
    {
        var path = Fixture.Path("adapters", name);
        using var model = LoraModels.Load("llama");
        model.LoadAdapter(path);
        model.SaveAdapter(folder.Path);
        using var given = new SafetensorsReader(Path.Combine(path, "adapter_model.safetensors"));
        using var written = new SafetensorsReader(folder.File("adapter_model.safetensors"));
        Assert.Equal(given.Names.Order(StringComparer.Ordinal), written.Names.Order(StringComparer.Ordinal));
        Assert.All(given.Names, tensor => Assert.True(given.Read(tensor).eq(written.Read(tensor)).all().item<bool>()));
    }

    [Fact]
    public void The_base_is_what_Load_was_given_and_never_somebody_elses_path()
    {
        var copy = folder.File("base");
        Directory.CreateDirectory(copy);
        foreach (var file in Directory.GetFiles(Fixture.Path("models", "gpt2")))
            File.Copy(file, Path.Combine(copy, Path.GetFileName(file)));
        var config = JsonNode.Parse(File.ReadAllText(Path.Combine(copy, "config.json")))!;
        config["_name_or_path"] = "/home/somebody/else";
        File.WriteAllText(Path.Combine(copy, "config.json"), config.ToJsonString());

        using var model = CausalLanguageModel.Load(copy);
        model.LoadAdapter(Fixture.Path("adapters", "gpt2"));
        model.SaveAdapter(folder.File("adapter"));
        Assert.Equal(copy, Base());
        using var made = new Gpt2(TrainerTests.Shape);
        made.AddLora();
        made.SaveAdapter(folder.File("adapter"));
        Assert.Null(Base());

        string? Base() => JsonNode.Parse(File.ReadAllText(folder.File("adapter/adapter_config.json")))!["base_model_name_or_path"]?.GetValue<string>();
    }

    /// <summary>A rank that the file has no numbers for, or that no layer can use, costs nothing.</summary>
    [Fact]
    public void Ranks_out_of_proportion_are_refused_before_anything_is_made()
    {
        Directory.CreateDirectory(folder.File("adapter"));
        var config = JsonNode.Parse(File.ReadAllText(Fixture.Path("adapters", "gpt2", "adapter_config.json")))!;
        config["r"] = 1 << 24;
        folder.Write("adapter/adapter_config.json", config.ToJsonString());
        File.Copy(Fixture.Path("adapters", "gpt2", "adapter_model.safetensors"), folder.File("adapter/adapter_model.safetensors"));
        using var model = LoraModels.Load("gpt2");
        Assert.Equal(
            $"{folder.File("adapter/adapter_model.safetensors")}: tensor \"base_model.model.transformer.h.0.attn.c_attn.lora_A.weight\" has the shape [4, 32], " +
            "but the shape [16777216, 32] is needed.",
            Assert.Throws<InvalidInputException>(() => model.LoadAdapter(folder.File("adapter"))).Message);
        Assert.Equal(
            "A LoRA rank of 99999999 is more than the layer transformer.h.0.attn.c_attn of 32 inputs and 96 outputs can use; give at most 1024.",
            Assert.Throws<InvalidInputException>(() => model.AddLora(new LoraOptions { Rank = 99999999 })).Message);
        Assert.Null(model.Lora);
        Assert.All(model.parameters(), parameter => Assert.True(parameter.requires_grad));
    }

    private static IReadOnlyList<int> Greedy(TransformerModel model)
    {
        using var noGrad = no_grad();
        var ids = new List<int> { 5, 80, 300 };
        for (var step = 0; step < 4; step++)
        {
            using var inner = NewDisposeScope();
            var layout = new SequenceLayout([new ExampleLengths(ids.Count, [1])]);
            var hidden = model.call(tensor(ids.Select(id => (long)id).ToArray(), device: CPU), layout);
            ids.Add((int)model.Head.Logits(hidden)[ids.Count - 1].argmax().item<long>());
        }
        return ids;
    }

    /// <summary>An adapter's files, and what they mean.</summary>
    private sealed class Adapter
    {
        private readonly PeftAdapterTests test;
        private readonly string family;
        private readonly Dictionary<string, Tensor> weights; // of the whole model
        private readonly Dictionary<string, (Tensor A, Tensor B, double Scale)> matrices = [];
        private readonly bool isTransposed;

        public Adapter(PeftAdapterTests test, string family, string kind)
        {
            (this.test, this.family, isTransposed) = (test, family, family == "gpt2");
            using (var file = new SafetensorsReader(Fixture.Path("models", family, "model.safetensors")))
                weights = file.Names.ToDictionary(name => name, name => file.Read(name));
            var vectors = family switch { "gpt2" or "gptj" => "transformer.wte", "gpt_neox" => "gpt_neox.embed_in", _ => "model.embed_tokens" };
            var head = family == "gpt_neox" ? "embed_out" : "lm_head";
            var norm = family switch { "gpt2" or "gptj" => "transformer.ln_f", "gpt_neox" => "gpt_neox.final_layer_norm", _ => "model.norm" };
            var isTied = !weights.ContainsKey($"{head}.weight");
            if (isTied)
                weights[$"{head}.weight"] = weights[$"{vectors}.weight"].clone();
            var end = family switch { "gpt2" => "c_attn", "gptj" or "llama" or "qwen2" or "gemma2" => "q_proj", "gpt_neox" => "query_key_value", _ => "qkv_proj" };
            List<string> layers = [.. weights.Keys.Where(name => name.EndsWith($".{end}.weight", StringComparison.Ordinal)).Select(name => name[..^".weight".Length])];

            var targets = new JsonArray(end);
            Config = new JsonObject
            {
                ["peft_type"] = "LORA",
                ["task_type"] = "CAUSAL_LM",
                ["r"] = 2,
                ["lora_alpha"] = 8.0,
                ["use_rslora"] = kind == "rslora pattern",
                ["target_modules"] = targets,
                ["bias"] = "none",
                ["modules_to_save"] = null,
                ["base_model_name_or_path"] = "x/y",
            };
            if (kind is "head adapted" or "head and embeddings")
            {
                layers.Add(head);
                targets.Add(head);
            }
            if (kind is "rank pattern" or "rslora pattern")
                Config["rank_pattern"] = new JsonObject { [end] = 4 };
            if (kind is "alpha pattern" or "rslora pattern")
                Config["alpha_pattern"] = new JsonObject { [layers[1].Replace(".", "\\.", StringComparison.Ordinal)] = 5.0 };
            foreach (var layer in layers)
            {
                var rank = kind is "rank pattern" or "rslora pattern" ? 4 : 2;
                var alpha = kind is "alpha pattern" or "rslora pattern" && layer == layers[1] ? 5.0 : 8;
                Adapt(layer, rank, kind == "rslora pattern" ? alpha / Math.Sqrt(rank) : alpha / rank);
            }

            switch (kind)
            {
                case "saved embeddings":
                    Store($"{vectors}.weight", Changed($"{vectors}.weight"));
                    Store($"{head}.weight", Changed($"{head}.weight"));
                    break;
                case "saved equal embeddings":
                    var equal = Changed($"{vectors}.weight");
                    Store($"{vectors}.weight", equal);
                    Store($"{head}.weight", equal);
                    if (isTied)
                        SavedNames.Remove($"{Prefix}{head}.weight");
                    break;
                case "resized embeddings":
                    Store($"{vectors}.weight", Random(387, 32));
                    Store($"{head}.weight", Random(387, 32));
                    Rows = 387;
                    break;
                case "head and embeddings":
                    Store($"{vectors}.weight", weights[$"{vectors}.weight"]);
                    Tensors[$"{Prefix}{head}.base_layer.weight"] = BaseOf($"{head}.weight");
                    SavedNames.Add($"{Prefix}{head}.base_layer.weight");
                    break;
                case "head saved":
                    Save(head);
                    break;
                case "embedding saved":
                    Save(vectors);
                    break;
                case "both saved":
                    Save(vectors, head);
                    break;
                case "norm saved":
                    Save(norm);
                    break;
                case "bias all":
                    Config["bias"] = "all";
                    foreach (var name in weights.Keys.Where(name => name.EndsWith("bias", StringComparison.Ordinal)).ToList())
                        StoreBias(name, wrapped: layers.Any(layer => name == layer + ".bias"), trained: true);
                    break;
                case "bias lora_only" or "bias lora_only older" or "bias lora_only unsaved":
                    Config["bias"] = "lora_only";
                    foreach (var name in layers.Select(layer => layer + ".bias").Where(weights.ContainsKey))
                    {
                        if (kind == "bias lora_only unsaved")
                            (_, _) = (Trained.Add(name), SavedNames.Add($"{Prefix}{name[..^4]}base_layer.bias"));
                        else
                            StoreBias(name, wrapped: kind == "bias lora_only", trained: true);
                    }
                    break;
            }

            void Save(params string[] modules)
            {
                Config["modules_to_save"] = new JsonArray([.. modules.Select(module => JsonValue.Create(module))]);
                foreach (var name in weights.Keys.Where(name => modules.Any(module => name.StartsWith(module + ".", StringComparison.Ordinal))).ToList())
                {
                    Store(name, Changed(name));
                    Trained.Add(name);
                }
            }
        }

        public JsonObject Config { get; }

        /// <summary>The tensors of the file.</summary>
        public Dictionary<string, Tensor> Tensors { get; } = [];

        public HashSet<string> Trained { get; } = [];

        /// <summary>The names that it is saved back with.</summary>
        public HashSet<string> SavedNames { get; } = [];

        public int Rows { get; private set; } = 384;

        public void Write(string path, bool torch = false)
        {
            Directory.CreateDirectory(path);
            File.WriteAllText(Path.Combine(path, "adapter_config.json"), Config.ToJsonString());
            var tensors = Tensors.Select(item => (item.Key, item.Value)).ToList();
            if (torch)
                File.WriteAllBytes(Path.Combine(path, "adapter_model.bin"), TorchFile.StateDict(tensors));
            else
                SafetensorsWriter.Write(Path.Combine(path, "adapter_model.safetensors"), tensors);
        }

        /// <summary>The model with W + s·BA in place of each W, and the adapter's own weights in their places.</summary>
        public TransformerModel WholeModel(string path)
        {
            Directory.CreateDirectory(path);
            var config = JsonNode.Parse(File.ReadAllText(Fixture.Path("models", family, "config.json")))!;
            config["tie_word_embeddings"] = false;
            config["vocab_size"] = Rows;
            File.WriteAllText(Path.Combine(path, "config.json"), config.ToJsonString());
            SafetensorsWriter.Write(Path.Combine(path, "model.safetensors"), weights.Select(item =>
            {
                if (!matrices.TryGetValue(item.Key[..item.Key.LastIndexOf('.')], out var change) || !item.Key.EndsWith("weight", StringComparison.Ordinal))
                    return (item.Key, item.Value);
                var product = change.B.to(float64).mm(change.A.to(float64)) * change.Scale;
                return (item.Key, (item.Value.to(float64) + (IsTransposed(item.Key) ? product.t() : product)).to(float32));
            }));
            return CausalLanguageModel.Load(path);
        }

        /// <summary>A parameter's gradient, worked out from those of the whole model.</summary>
        public double[] GradientOf(string name, Dictionary<string, double[]> whole)
        {
            var part = name.IndexOf(".lora_", StringComparison.Ordinal);
            if (part < 0)
                return whole[name];
            var layer = name[..part];
            var (a, b, scale) = matrices[layer];
            var (outputs, inputs) = (b.shape[0], a.shape[1]);
            var gradient = tensor(whole[layer + ".weight"], dtype: float64, device: CPU);
            gradient = IsTransposed(layer) ? gradient.view(inputs, outputs).t() : gradient.view(outputs, inputs);
            var result = name[part..].Contains('A', StringComparison.Ordinal) ? b.to(float64).t().mm(gradient) : gradient.mm(a.to(float64).t());
            return (result * scale).flatten().ToDoubles();
        }

        private bool IsTransposed(string name) => isTransposed && !name.StartsWith("lm_head", StringComparison.Ordinal);

        private void Adapt(string layer, int rank, double scale)
        {
            var shape = weights[layer + ".weight"].shape;
            var (outputs, inputs) = IsTransposed(layer) ? (shape[1], shape[0]) : (shape[0], shape[1]);
            var (a, b) = (Random(rank, inputs), Random(outputs, rank));
            matrices[layer] = (a, b, scale);
            foreach (var (name, values) in (ReadOnlySpan<(string, Tensor)>)[($"{layer}.lora_A.weight", a), ($"{layer}.lora_B.weight", b)])
            {
                Tensors[Prefix + name] = values;
                SavedNames.Add(Prefix + name);
                Trained.Add(name);
            }
        }

        private void Store(string name, Tensor values)
        {
            (weights[name], Tensors[Prefix + name]) = (values, values);
            SavedNames.Add(Prefix + name);
        }

        private void StoreBias(string name, bool wrapped, bool trained)
        {
            weights[name] = Changed(name);
            Tensors[wrapped ? $"{Prefix}{name[..^4]}base_layer.bias" : Prefix + name] = weights[name];
            SavedNames.Add(matrices.ContainsKey(name[..^5]) ? $"{Prefix}{name[..^4]}base_layer.bias" : Prefix + name);
            if (trained)
                Trained.Add(name);
        }

        private Tensor BaseOf(string name) => weights[name];

        private Tensor Changed(string name) => weights[name] + Random(weights[name].shape) * 0.3;

        private Tensor Random(params long[] shape) => randn(shape, dtype: float32, device: CPU, generator: test.generator) * 0.2;
    }
}
