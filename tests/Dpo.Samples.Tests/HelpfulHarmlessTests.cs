using System.Globalization;
using System.Text.Json;
using Dpo.Tests;

namespace Dpo.Samples.Tests;

public class HelpfulHarmlessTests
{
    private static readonly string[] Tiny = ["--epochs", "1", "--steps", "3", "--batch-size", "8", "--max-length", "128"];

    private static string[] Lines(string folder) => File.ReadAllLines(Path.Combine(folder, "metrics.jsonl"));

    [Theory]
    [InlineData("gpt2_rmsprop")]
    [InlineData("gpt2_adamw")]
    [InlineData("gpt2_warmup_accum2")]
    [InlineData("gpt2_linear_truncated")]
    [InlineData("gpt2_ipo")]
    public void TRLs_trajectories_are_reproduced_from_the_command_line(string run)
    {
        using var output = new TemporaryFolder();
        var config = Numbers.Json("trajectories", run, "config.json");
        string Text(string field) => config.GetProperty(field).ToString();
        var microBatch = config.GetProperty("per_device_train_batch_size").GetInt32();
        var batch = microBatch * config.GetProperty("gradient_accumulation_steps").GetInt32();
        SampleRun.Succeed("HelpfulHarmless",
            "--model", Fixture.Path("models", "gpt2"), "--train", Fixture.Path("trajectories", "train.jsonl"), "--output", output.Path,
            "--no-shuffle", "--skip-sft", "--truncation", "keep-start", "--steps", Text("max_steps"),
            "--batch-size", batch.ToString(CultureInfo.InvariantCulture), "--micro-batch-size", microBatch.ToString(CultureInfo.InvariantCulture),
            "--learning-rate", Text("learning_rate"), "--warmup-steps", Text("warmup_steps"),
            "--schedule", Text("lr_scheduler_type") == "linear" ? "linear" : "trl-constant",
            "--optimizer", Text("optim") == "rmsprop" ? "rmsprop" : "adamw", "--weight-decay", Text("weight_decay"),
            "--beta", Text("beta"), "--loss", Text("loss_type"), "--max-length", Text("max_length"), "--max-grad-norm", Text("max_grad_norm"));

        var expected = Numbers.Json("trajectories", run, "expected.json").GetProperty("steps").EnumerateArray().ToArray();
        var actual = Lines(output.Path).Select(line => JsonDocument.Parse(line).RootElement).ToArray();
        Assert.Equal(expected.Length, actual.Length);
        foreach (var (index, (theirs, ours)) in expected.Zip(actual).Index())
        {
            Assert.Equal(index + 1, ours.GetProperty("step").GetInt32());
            foreach (var name in (string[])["loss", "grad_norm", "rewards/chosen", "rewards/rejected", "rewards/margins", "rewards/accuracies", "logps/chosen", "logps/rejected", "num_tokens"])
                Numbers.AssertClose(theirs.GetProperty(name).GetDouble(), ours.GetProperty(name).GetDouble(), 1e-4, $"step {index + 1}, {name}");
        }
    }

    [Fact]
    public void A_loss_that_does_without_a_reference_trains_without_one()
    {
        using var output = new TemporaryFolder();
        SampleRun.Succeed("HelpfulHarmless",
            "--model", Fixture.Path("models", "gpt2"), "--train", Fixture.Path("trajectories", "train.jsonl"), "--eval", Fixture.Path("trajectories", "train.jsonl"),
            "--output", output.Path, "--skip-sft", "--steps", "2", "--batch-size", "4", "--max-length", "64", "--loss", "simpo");
        Assert.Equal(2, Lines(output.Path).Length);
        Assert.All(
            File.ReadAllLines(output.File("samples.jsonl")),
            line => Assert.Equal(["step", "prompt", "policy"], JsonDocument.Parse(line).RootElement.EnumerateObject().Select(property => property.Name)));
    }

    [Fact]
    public void On_nothing_it_makes_a_model_and_data_and_the_same_seed_gives_the_same_bytes()
    {
        using var first = new TemporaryFolder();
        using var second = new TemporaryFolder();
        var lines = SampleRun.Succeed("HelpfulHarmless", [.. Tiny, "--output", first.Path]);
        SampleRun.Succeed("HelpfulHarmless", [.. Tiny, "--output", second.Path]);
        Assert.Contains("SFT 3/3  loss", lines, StringComparison.Ordinal);
        Assert.Contains("DPO 3/3  loss", lines, StringComparison.Ordinal);
        foreach (var file in (string[])["metrics.jsonl", "model.safetensors", "config.json", "tokenizer.json", "sft/metrics.jsonl", "sft/model.safetensors"])
            Assert.Equal(File.ReadAllBytes(first.File(file)), File.ReadAllBytes(second.File(file)));
        Assert.Equal(3, Lines(first.Path).Length);
        Assert.Equal(3, File.ReadAllLines(first.File("timing.jsonl")).Length);

        // What was saved is a model folder that the next run starts from.
        using var next = new TemporaryFolder();
        SampleRun.Succeed("HelpfulHarmless", [.. Tiny, "--model", first.Path, "--skip-sft", "--seed", "1", "--output", next.Path]);
        using var model = CausalLanguageModel.Load(next.Path);
        Assert.True(TextTokenizer.Load(next.Path).VocabularySize <= 1024);
    }

    [Fact]
    public void Held_out_preferences_are_evaluated_after_the_last_step()
    {
        using var output = new TemporaryFolder();
        var eval = output.Write("eval.jsonl", string.Concat(DialogueCorpus.Generate(20, 9).Select(example =>
            JsonSerializer.Serialize(new { chosen = example.Prompt + example.Completions[0], rejected = example.Prompt + example.Completions[1] }) + "\n")));
        SampleRun.Succeed("HelpfulHarmless", [.. Tiny, "--eval", eval, "--output", output.Path]);
        var metrics = Lines(output.Path).Select(line => JsonDocument.Parse(line).RootElement).ToArray();
        Assert.Equal([false, false, true], metrics.Select(step => step.TryGetProperty("eval_rewards/accuracies", out _)));

        // The saved models, measured by the library, give the same.
        using var pair = new PolicyReferencePair(CausalLanguageModel.Load(output.Path), CausalLanguageModel.Load(output.File("sft")));
        using var trainer = new DpoTrainer(pair);
        var report = new DataReport();
        var tokenizer = new ExampleTokenizer(TextTokenizer.Load(output.Path), 128, 64);
        var heldOut = new PreferenceData(PreferenceFile.Read(eval, report).Select(example => tokenizer.Tokenize(example, report)!));
        foreach (var (name, value) in trainer.Evaluate(heldOut))
            Numbers.AssertClose(value, metrics[2].GetProperty(name).GetDouble(), 1e-4, name);
    }

    [Fact]
    public void Unpaired_completions_and_rankings_train_with_their_losses()
    {
        using var output = new TemporaryFolder();
        var examples = DialogueCorpus.Generate(20, 9).ToArray();
        string Rows(Func<PreferenceExample, int, object> row) => string.Concat(examples.Select((example, index) => JsonSerializer.Serialize(row(example, index)) + "\n"));
        var unpaired = output.Write("unpaired.jsonl", Rows((example, index) => new { prompt = example.Prompt, completion = example.Completions[index % 2], label = index % 2 == 0 }));
        var ranked = output.Write("ranked.jsonl", Rows((example, _) => new { prompt = example.Prompt, completions = example.Completions, ranking = (int[])[1, 0] }));

        SampleRun.Succeed("HelpfulHarmless", [.. Tiny, "--train", unpaired, "--eval", unpaired, "--loss", "kto", "--output", output.File("kto")]);
        var kto = JsonDocument.Parse(Lines(output.File("kto"))[^1]).RootElement;
        Assert.InRange(kto.GetProperty("eval_loss").GetDouble(), 0.3, 0.6);
        SampleRun.Succeed("HelpfulHarmless", [.. Tiny, "--train", ranked, "--loss", "plackett_luce,sft", "--loss-weights", "1,0.5", "--output", output.File("ranked")]);
        var first = JsonDocument.Parse(Lines(output.File("ranked"))[0]).RootElement;
        Assert.Equal(0, first.GetProperty("rewards/margins").GetDouble());
        Assert.True(first.GetProperty("loss").GetDouble() > Math.Log(2));
    }

    [Fact]
    public void Columns_are_named_on_the_command_line()
    {
        using var output = new TemporaryFolder();
        var rows = output.Write("train.json", JsonSerializer.Serialize(DialogueCorpus.Generate(20, 9).Select(example =>
            new { frage = example.Prompt, gut = example.Completions[0], schlecht = example.Completions[1] })));
        var lines = SampleRun.Succeed("HelpfulHarmless", [.. Tiny, "--train", rows, "--columns", "prompt=frage, chosen=gut, rejected=schlecht", "--skip-sft", "--output", output.File("o")]);
        Assert.Contains("The training data: read 20 rows; used 20.", lines);
        var (exitCode, _, error) = SampleRun.Run("HelpfulHarmless", [.. Tiny, "--train", rows, "--columns", "promt=frage", "--output", output.File("p")]);
        Assert.Equal(2, exitCode);
        Assert.StartsWith("The columns' names say what 'promt' is called, but rows have no such field; they have 'prompt', 'chosen', ", error);
    }

    [Fact]
    public void An_adapter_is_trained_in_both_stages_and_saved_beside_the_merged_model()
    {
        using var output = new TemporaryFolder();
        var lines = SampleRun.Succeed("HelpfulHarmless",
            "--model", Fixture.Path("models", "gpt2"), "--train", Fixture.Path("trajectories", "train.jsonl"), "--output", output.Path,
            "--steps", "2", "--batch-size", "4", "--max-length", "64", "--warmup-steps", "0", "--learning-rate", "1e-2", "--lora-rank", "2", "--lora-target", "c_attn,mlp.c_fc");
        Assert.Contains($"Its adapter, which that model has merged in, is in {output.File("adapter")} by itself.", lines, StringComparison.Ordinal);
        var first = JsonDocument.Parse(Lines(output.Path)[0]).RootElement;
        Assert.Equal(0, first.GetProperty("rewards/margins").GetDouble()); // the reference is the fine-tuned adapter

        foreach (var stage in (string[])["sft", "."])
        {
            using var adapted = CausalLanguageModel.Load(Fixture.Path("models", "gpt2"));
            adapted.LoadAdapter(output.File(Path.Combine(stage, "adapter")));
            var lora = adapted.Lora!;
            Assert.Equal((2, 4), (lora.Rank, lora.Alpha));
            Assert.Equal(["c_attn", "mlp.c_fc"], lora.TargetModules);
            adapted.Save(output.File("again"));
            Assert.Equal(File.ReadAllBytes(output.File(Path.Combine(stage, "model.safetensors"))), File.ReadAllBytes(output.File("again/model.safetensors")));
        }
        Assert.NotEqual(File.ReadAllBytes(output.File("sft/model.safetensors")), File.ReadAllBytes(output.File("model.safetensors")));
    }

    [Theory]
    [InlineData("--steps x", "--steps x: the value must be a whole number of at least 1. Run with --help for the options.")]
    [InlineData("--learning-rate 0", "--learning-rate 0: the value must be a number above 0. Run with --help for the options.")]
    [InlineData("--learning-rate NaN", "--learning-rate NaN: the value must be a number above 0. Run with --help for the options.")]
    [InlineData("--label-smoothing 0.5", "--label-smoothing 0.5: the value must be a number of at least 0 and below 0.5. Run with --help for the options.")]
    [InlineData("--schedule step", "--schedule step: the value must be one of paper|trl-constant|linear|cosine. Run with --help for the options.")]
    [InlineData("--chat-template alpaca", "--chat-template alpaca: the value must be one of chatml|llama3|zephyr|hh. Run with --help for the options.")]
    [InlineData("--loss dpo", "--loss dpo: The loss 'dpo' is not known; the losses are sigmoid, hinge, ipo, ipo_sum, exo_pair, nca_pair, robust, bco_pair, sppo_hard, aot, aot_unpaired, apo_zero, apo_down, discopop, sigmoid_norm, sft, sft_norm, simpo, orpo, kto, rpo_sq, rpo_bwd_kl, rpo_fwd_kl, plackett_luce, unlikelihood, cpo, cpo_hinge, cpo_ipo, alphapo, dpop, r_dpo, odpo, odpo_ratio, cal_dpo, chi_po, beta_dpo, sampo, tdpo1, tdpo2, dpo_shift, iterative_rpo, rpo, mpo, dpo_norm.")]
    [InlineData("--loss sigmoid,sft --loss-weights 1,x", "--loss-weights 1,x: the value must be numbers with commas between them.")]
    [InlineData("--loss exo_pair --label-smoothing 0", "--loss exo_pair --label-smoothing 0: Label smoothing must lie in (0, 0.5): at 0 the loss holds the logarithm of 0; take 1e-3.")]
    [InlineData("--loss simpo --f-divergence js_divergence", "--loss simpo --f-divergence js_divergence: The loss 'simpo' is no function of scores, so it takes no divergence (js_divergence); leave it out, or take one of sigmoid, hinge, ipo, exo_pair, nca_pair, robust, bco_pair, sppo_hard, apo_down, discopop, sigmoid_norm.")]
    [InlineData("--f-divergence kl", "--f-divergence kl: the value must be one of reverse_kl|forward_kl|js_divergence|alpha_divergence. Run with --help for the options.")]
    [InlineData("--f-alpha 0.3", "--f-alpha goes with --f-divergence alpha_divergence.")]
    [InlineData("--ld-alpha 1.5", "--ld-alpha 1.5: α must lie in [0, 1].")]
    [InlineData("--ld-alpha x", "--ld-alpha x: the value must be a number of at least 0. Run with --help for the options.")]
    [InlineData("--loss aot --use-weighting", "--loss aot --use-weighting: AotLoss takes the batch as a whole, so its losses belong to no pair that could be weighted.")]
    [InlineData("--loss hinge --beta 0.2 --label-smoothing 0.1", "--loss hinge --beta 0.2 --label-smoothing 0.1: The loss 'hinge' has no label smoothing; leave it out, or take one of sigmoid, exo_pair, robust, aot, aot_unpaired, cpo.")]
    [InlineData("--simpo-gamma 1", "--simpo-gamma goes with --loss simpo.")]
    [InlineData("--loss simpo --discopop-tau 0.1", "--discopop-tau goes with --loss discopop.")]
    [InlineData("--desirable-weight 2", "--desirable-weight goes with --loss kto.")]
    [InlineData("--loss sft --score-scale 2", "--score-scale goes with --loss rpo_sq|rpo_bwd_kl|rpo_fwd_kl.")]
    [InlineData("--loss unlikelihood --unlikelihood-alpha 2", "--loss unlikelihood --unlikelihood-alpha 2: α must lie in [0, 1].")]
    [InlineData("--loss dpop --odpo-alpha 2", "--odpo-alpha goes with --loss odpo|odpo_ratio.")]
    [InlineData("--loss dpo_shift --dpo-shift 2", "--loss dpo_shift --dpo-shift 2: The shift must lie in (0, 1].")]
    [InlineData("--loss chi_po --chi-po-bound 0", "--chi-po-bound 0: the value must be a number above 0. Run with --help for the options.")]
    [InlineData("--loss alphapo --alphapo-alpha x", "--alphapo-alpha x: the value must be a number. Run with --help for the options.")]
    [InlineData("--bogus", "Unrecognized command or argument '--bogus'. Run with --help for the options.")]
    [InlineData("--model /no/such", "/no/such: there is no such folder; give a model folder with its tokenizer files.")]
    [InlineData("--columns question", "--columns question: the value must be fields and their columns, each field once, such as prompt=question,chosen=good.")]
    [InlineData("--columns prompt=a,prompt=b", "--columns prompt=a,prompt=b: the value must be fields and their columns, each field once, such as prompt=question,chosen=good.")]
    [InlineData("--weight-decay 0.1", "--weight-decay goes with --optimizer adamw; RMSprop has none.")]
    [InlineData("--bos on", "--bos on goes with --model: the model made here has no beginning-of-text token of its own.")]
    [InlineData("--bos yes", "--bos yes: the value must be one of auto|on|off. Run with --help for the options.")]
    [InlineData("--lora-alpha 4", "--lora-alpha and --lora-target go with --lora-rank.")]
    [InlineData("--lora-rank 4", "--lora-rank goes with --model: an adapter can change a trained model, but not stand in for its training.")]
    [InlineData("--resume --overwrite --checkpoint-every 2", "--resume goes on with the earlier run and --overwrite replaces it; give one of them.")]
    [InlineData("--learning-rate 1e400", "--learning-rate 1e400: the value must be a number above 0. Run with --help for the options.")]
    [InlineData("--max-length 64 --max-prompt-length 64", "--max-prompt-length must be below --max-length, or no token is left for a completion.")]
    public void Input_that_cannot_be_used_is_one_clear_line_and_exit_code_2(string arguments, string message)
    {
        using var output = new TemporaryFolder();
        var folder = output.File("out");
        var (exitCode, _, error) = SampleRun.Run("HelpfulHarmless", [.. arguments.Split(' '), "--output", folder]);
        Assert.Equal((2, message), (exitCode, error.TrimEnd()));
        Assert.False(Directory.Exists(folder));
    }

    [Fact]
    public void Conversations_train_under_a_named_chat_template_only()
    {
        using var output = new TemporaryFolder();
        var train = output.Write("train.jsonl", """
            {"prompt": [{"role": "user", "content": "Hi"}], "chosen": [{"role": "assistant", "content": "yes"}], "rejected": [{"role": "assistant", "content": "no"}]}
            """);
        string[] arguments = ["--model", Fixture.Path("models", "gpt2"), "--train", train, "--max-length", "64", "--steps", "1", "--skip-sft", "--output", output.File("out")];
        Assert.Equal(
            "train.jsonl:1: the row holds the messages of a chat; name the chat template that the model was trained with by --chat-template.",
            SampleRun.Run("HelpfulHarmless", arguments).Error.TrimEnd());
        SampleRun.Succeed("HelpfulHarmless", [.. arguments, "--chat-template", "hh"]);
        Assert.Single(Lines(output.File("out")));
    }

    /// <summary>Most published models have more rows than tokens. This one would draw nothing else.</summary>
    [Fact]
    public void A_vocabulary_padded_beyond_the_tokenizer_is_trained_and_sampled_from()
    {
        using var output = new TemporaryFolder();
        using (var model = new Gpt2(new Gpt2Config { VocabularySize = 448, MaxPositions = 160, HiddenSize = 16, LayerCount = 1, HeadCount = 2 }))
        {
            using var noGrad = TorchSharp.torch.no_grad();
            model.Head.Weight!.narrow(0, 384, 64).mul_(100);
            model.Save(output.File("padded"));
            TextTokenizer.Load(Fixture.Path("tokenizer")).Save(output.File("padded"));
        }
        var train = Fixture.Path("trajectories", "train.jsonl");
        SampleRun.Succeed("HelpfulHarmless", [.. Tiny, "--model", output.File("padded"), "--train", train, "--eval", train, "--skip-sft", "--output", output.File("out")]);
        var samples = File.ReadAllLines(output.File("out/samples.jsonl"));
        Assert.Equal(4, samples.Length);
        Assert.All(samples, line => Assert.NotEmpty(JsonDocument.Parse(line).RootElement.GetProperty("policy").GetString()!));
        using var trained = CausalLanguageModel.Load(output.File("out"));
        Assert.Equal(448, trained.VocabularySize);
    }

    [Fact]
    public void Prompts_begin_with_the_beginning_of_text_where_it_is_asked_for()
    {
        using var output = new TemporaryFolder();
        string Run(params string[] more)
        {
            string[] arguments = [.. Tiny, "--model", Fixture.Path("models", "llama"), "--train", Fixture.Path("trajectories", "train.jsonl"), "--skip-sft"];
            return SampleRun.Succeed("HelpfulHarmless", [.. arguments, "--output", output.File(more.LastOrDefault() ?? "auto"), .. more]);
        }
        double Loss(string folder) => JsonDocument.Parse(Lines(output.File(folder))[^1]).RootElement.GetProperty("logps/chosen").GetDouble();
        Assert.Contains("\nevery prompt begins with <|endoftext|>\n", Run("--bos", "on"), StringComparison.Ordinal);
        Assert.DoesNotContain("every prompt begins", Run("--bos", "off") + Run(), StringComparison.Ordinal);
        Assert.Equal(Loss("auto"), Loss("off"));
        Assert.NotEqual(Loss("auto"), Loss("on"));
    }

    [Fact]
    public void A_file_without_a_usable_row_is_refused()
    {
        using var output = new TemporaryFolder();
        var train = output.Write("train.jsonl", "{\"prompt\": \"a\", \"chosen\": \"b\", \"rejected\": \"b\"}\n");
        var (exitCode, text, error) = SampleRun.Run("HelpfulHarmless", "--train", train, "--output", output.File("out"));
        Assert.Equal(2, exitCode);
        Assert.Contains("dropped 1", text, StringComparison.Ordinal);
        Assert.Equal("The data holds no example that can be trained on; see the counts of dropped rows.", error.TrimEnd());
    }
}
