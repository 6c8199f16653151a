using Microsoft.Extensions.Logging;
using static Dpo.Tests.ReferenceLogProbsTests;
using static TorchSharp.torch;

namespace Dpo.Tests;

public sealed class ReferenceLogProbsFileTests : IDisposable
{
    private const string Remedy =
        " Give the file of this reference and this data, or have it computed with ReferenceLogProbs.LoadOrCompute.";

    private readonly TemporaryFolder folder = new();
    private readonly PolicyReferencePair pair = new(new Gpt2(TrainerTests.Shape, seed: 5));
    private readonly PreferenceData data = TrainerTests.Data(5);
    private readonly string path;
    private readonly float[] saved;

    public ReferenceLogProbsFileTests()
    {
        path = folder.File("new/reference.safetensors");
        saved = Values(ReferenceLogProbs.LoadOrCompute(path, pair, data));
    }

    public void Dispose()
    {
        pair.Dispose();
        folder.Dispose();
    }

    private string Refusal(PolicyReferencePair? otherPair = null, PreferenceData? otherData = null) =>
        Assert.Throws<InvalidInputException>(() => ReferenceLogProbs.Load(path, otherPair ?? pair, otherData ?? data)).Message;

    /// <summary>A trained policy, other pairs and another way to hold the same reference need no other file.</summary>
    [Fact]
    public void What_was_saved_is_loaded_for_the_same_reference_and_tokens()
    {
        Assert.Equal(data.Examples.Sum(example => example.Completions.Sum(ids => ids.Count)), saved.Length);
        using (var trainer = new DpoTrainer(pair, options: TrainerTests.Options))
            trainer.Train(data);
        var others = new PreferenceData(data.Examples.Select(example => example with { Pairs = [], Source = null }));
        var loaded = ReferenceLogProbs.Load(path, pair, others);
        Assert.Equal(saved, Values(loaded));
        Assert.Equal(others.Examples, loaded.Examples.Select(example => example with { ReferenceLogProbs = null }));

        using var two = new PolicyReferencePair(new Gpt2(TrainerTests.Shape, seed: 6), new Gpt2(TrainerTests.Shape, seed: 5));
        Assert.Equal(saved, Values(ReferenceLogProbs.Load(path, two, data)));
        Assert.Equal([path], Directory.GetFiles(folder.File("new")));
    }

    /// <summary>The file as any reader of safetensors sees it; and a model saved and loaded again is the same reference.</summary>
    [Fact]
    public void The_file_holds_one_tensor_and_its_key()
    {
        using var scope = NewDisposeScope();
        using var file = new SafetensorsReader(path);
        Assert.Equal(["reference_log_probs"], file.Names);
        Assert.Equal(saved, file.Read("reference_log_probs").data<float>());
        Assert.Equal(
            ["config_sha256", "dpo_reference_log_probs_version", "format", "precision", "sha256", "tokens_sha256", "weights_sha256"],
            file.Metadata.Keys.Order());
        Assert.Equal(("1", "Float32"), (file.Metadata["dpo_reference_log_probs_version"], file.Metadata["precision"]));

        ((Gpt2)pair.Policy).Save(folder.File("model"));
        using var again = PolicyReferencePair.Load(folder.File("model"));
        Assert.Equal(saved, Values(ReferenceLogProbs.Load(path, again, data)));
    }

    [Theory]
    [InlineData(0)]
    [InlineData(-1)]
    public void One_changed_weight_is_refused(int element)
    {
        using var policy = new Gpt2(TrainerTests.Shape, seed: 5);
        using (NewDisposeScope())
        using (no_grad())
            policy.parameters().Last().view(-1)[element].add_(1e-6);
        using var other = new PolicyReferencePair(policy);
        Assert.Equal($"{path} was computed with other weights." + Remedy, Refusal(other));
    }

    /// <summary>A user's own module: log p of a token is the log-softmax of its predecessor's row plus the buffer.</summary>
    private sealed class Bigrams : nn.Module<Tensor, Tensor>
    {
        private readonly TorchSharp.Modules.Embedding rows = nn.Embedding(40, 40);
        private readonly Tensor shift;

        public Bigrams(float shift)
            : base(nameof(Bigrams))
        {
            using var noGrad = no_grad();
            rows.weight!.fill_(0.5);
            rows.weight!.select(1, 3).fill_(2);
            this.shift = cat([tensor(new[] { shift }), zeros(39)]);
            RegisterComponents();
        }

        public override Tensor forward(Tensor ids) => rows.call(ids) + shift;
    }

    [Fact]
    public void The_values_of_a_module_of_ones_own_follow_from_its_buffers_too()
    {
        using var scope = NewDisposeScope();
        using var own = new PolicyReferencePair(new LogitsModel(new Bigrams(shift: 1)));
        var example = new PreferenceData([new([5], [[3, 0], [7]], [new(0, 1)])]);
        File.Delete(path);
        var values = Values(ReferenceLogProbs.LoadOrCompute(path, own, example));
        var total = Math.Log(Math.Exp(1.5) + Math.Exp(2) + 38 * Math.Exp(0.5));
        Numbers.AssertClose([2 - total, 1.5 - total, 0.5 - total], [.. values.Select(value => (double)value)], 1e-6);
        Assert.Equal(values, Values(ReferenceLogProbs.Load(path, own, example)));

        using var shifted = new PolicyReferencePair(new LogitsModel(new Bigrams(shift: 2)));
        Assert.Equal($"{path} was computed with other weights." + Remedy, Refusal(shifted, example));
    }

    [Fact]
    public void Another_configuration_with_equal_weights_is_refused()
    {
        using var other = new PolicyReferencePair(new Gpt2(TrainerTests.Shape with { HeadCount = 4 }, seed: 5));
        Assert.Equal($"{path} was computed with another model configuration." + Remedy, Refusal(other));
    }

    [Fact]
    public void One_changed_token_another_order_and_a_moved_boundary_are_refused()
    {
        var expected = $"{path} was computed with other tokens, or the same in another order." + Remedy;
        var first = data.Examples[0];
        string With(TrainingExample changed) => Refusal(otherData: new(data.Examples.Skip(1).Prepend(changed)));
        Assert.Equal(expected, With(first with { Prompt = [.. first.Prompt.SkipLast(1), first.Prompt[^1] + 1] }));
        Assert.Equal(expected, With(first with { Completions = [.. first.Completions.SkipLast(1), [.. first.Completions[^1].SkipLast(1), 7]] }));
        Assert.Equal(expected, With(first with
        {
            Prompt = [.. first.Prompt, first.Completions[0][0]],
            Completions = [[.. first.Completions[0].Skip(1)], .. first.Completions.Skip(1)],
        }));
        Assert.Equal(expected, Refusal(otherData: new(data.Examples.Reverse())));
        Assert.Equal(expected, Refusal(otherData: new(data.Examples.SkipLast(1))));
    }

    [Fact]
    public void Another_precision_is_refused_and_several_differences_are_named_together()
    {
        ((Gpt2)pair.Policy).Precision = Precision.BFloat16;
        Assert.Equal($"{path} was computed with the precision Float32 instead of BFloat16." + Remedy, Refusal());
        using var other = new PolicyReferencePair(new Gpt2(TrainerTests.Shape, seed: 6) { Precision = Precision.BFloat16 });
        Assert.Equal($"{path} was computed with other weights, and the precision Float32 instead of BFloat16." + Remedy, Refusal(other));
    }

    [Fact]
    public void A_truncated_file_is_refused_wherever_it_ends()
    {
        var bytes = File.ReadAllBytes(path);
        for (var length = 0; length < bytes.Length; length++)
        {
            File.WriteAllBytes(path, bytes[..length]);
            Assert.StartsWith(path, Refusal(), StringComparison.Ordinal);
        }
        File.WriteAllBytes(path, bytes[..^1]);
        Assert.Equal(
            $"{path}: tensor \"reference_log_probs\" ends at byte {4 * saved.Length} of the data, of which the file holds " +
            $"{4 * saved.Length - 1}: it is truncated or damaged." + Remedy,
            Refusal());
    }

    [Fact]
    public void A_flipped_byte_is_refused_or_changes_nothing()
    {
        var bytes = File.ReadAllBytes(path);
        var dataStart = bytes.Length - 4 * saved.Length;
        for (var index = 0; index < bytes.Length; index++)
        {
            var flipped = bytes.ToArray();
            flipped[index] ^= 1;
            File.WriteAllBytes(path, flipped);
            if (index >= dataStart)
            {
                Assert.Equal($"{path} is damaged: its checksum is another than that of what it holds." + Remedy, Refusal());
                continue;
            }
            try
            {
                Assert.Equal(saved, Values(ReferenceLogProbs.Load(path, pair, data)));
            }
            catch (InvalidInputException e)
            {
                Assert.StartsWith(path, e.Message, StringComparison.Ordinal);
            }
        }
    }

    [Fact]
    public void Another_version_and_a_missing_file_are_refused()
    {
        var text = File.ReadAllBytes(path);
        text[text.AsSpan().IndexOf("version\":\"1"u8) + 10] = (byte)'2';
        File.WriteAllBytes(path, text);
        Assert.Equal($"{path} is no file of reference log-probabilities in version 1 of their format." + Remedy, Refusal());
        File.Delete(path);
        Assert.StartsWith($"{path} cannot be read: ", Refusal(), StringComparison.Ordinal);
    }

    [Fact]
    public void LoadOrCompute_loads_what_fits_and_replaces_what_does_not_and_says_so()
    {
        var log = new Recording();
        var written = File.GetLastWriteTimeUtc(path);
        Assert.Equal(saved, Values(ReferenceLogProbs.LoadOrCompute(path, pair, data, logger: log)));
        Assert.Equal(written, File.GetLastWriteTimeUtc(path));
        Assert.Equal([$"Information: Loaded the reference log-probabilities from {path}."], log.Lines);

        log.Lines.Clear();
        using var other = new PolicyReferencePair(new Gpt2(TrainerTests.Shape, seed: 6));
        var computed = Values(ReferenceLogProbs.LoadOrCompute(path, other, data, logger: log));
        Assert.Equal(Values(ReferenceLogProbs.Compute(other, data)), computed);
        Assert.Equal(computed, Values(ReferenceLogProbs.Load(path, other, data)));
        string[] expected =
        [
            $"Warning: {path} was computed with other weights. The reference log-probabilities are computed anew.",
            $"Information: Computed the reference log-probabilities and saved them to {path}.",
        ];
        Assert.Equal(expected, log.Lines);

        File.WriteAllBytes(path, File.ReadAllBytes(path)[..^1]);
        Assert.Equal(computed, Values(ReferenceLogProbs.LoadOrCompute(path, other, data)));
        Assert.Equal(computed, Values(ReferenceLogProbs.Load(path, other, data)));
    }

    private sealed class Recording : ILogger
    {
        public List<string> Lines { get; } = [];

        public IDisposable? BeginScope<TState>(TState state)
            where TState : notnull => null;

        public bool IsEnabled(LogLevel logLevel) => true;

        public void Log<TState>(
            LogLevel logLevel, EventId eventId, TState state, Exception? exception, Func<TState, Exception?, string> formatter) =>
            Lines.Add($"{logLevel}: {formatter(state, exception)}");
    }

    [Fact]
    public void What_is_no_such_file_is_never_replaced()
    {
        var model = folder.File("model.safetensors");
        using (NewDisposeScope())
            SafetensorsWriter.Write(model, [("x", ones(2000))]);
        foreach (var other in new[] { model, folder.Write("data.jsonl", "{}\n"), folder.Write("empty", "") })
        {
            var before = File.ReadAllBytes(other);
            Assert.Equal(
                $"{other} is no file of reference log-probabilities, so it is not replaced by one; give another path, or delete it.",
                Assert.Throws<InvalidInputException>(() => ReferenceLogProbs.LoadOrCompute(other, pair, data)).Message);
            Assert.Equal(before, File.ReadAllBytes(other));
        }
        Assert.StartsWith(
            $"{folder.Path} cannot be read: ",
            Assert.Throws<InvalidInputException>(() => ReferenceLogProbs.LoadOrCompute(folder.Path, pair, data)).Message,
            StringComparison.Ordinal);
    }

    [Fact]
    public void A_cancelled_computation_leaves_the_old_file_alone()
    {
        var before = File.ReadAllBytes(path);
        using var cancellation = new CancellationTokenSource();
        cancellation.Cancel();
        Assert.Throws<OperationCanceledException>(() => ReferenceLogProbs.LoadOrCompute(
            path, pair, TrainerTests.Data(6), cancellationToken: cancellation.Token));
        Assert.Equal(before, File.ReadAllBytes(path));
        Assert.Equal([path], Directory.GetFiles(folder.File("new")));
    }
}
