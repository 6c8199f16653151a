using Microsoft.Extensions.Logging;

namespace Dpo.Tests;

/// <summary>A computation that was interrupted goes on where it was.</summary>
public sealed class PartialReferenceLogProbsTests : IDisposable
{
    private const int Count = 30;
    private const int MaxTokens = 60;

    private readonly TemporaryFolder folder = new();
    private readonly PolicyReferencePair pair = new(new Gpt2(TrainerTests.Shape, seed: 5));
    private readonly PreferenceData data = TrainerTests.Data(Count);
    private readonly string path;
    private readonly byte[] whole;

    public PartialReferenceLogProbsTests()
    {
        ReferenceLogProbs.LoadOrCompute(folder.File("whole"), pair, data, MaxTokens);
        whole = File.ReadAllBytes(folder.File("whole"));
        path = folder.File("reference.safetensors");
    }

    private string Partial => path + ".partial";

    public void Dispose()
    {
        pair.Dispose();
        folder.Dispose();
    }

    private List<int> Compute(int? stopAt = null, PolicyReferencePair? by = null, ILogger? logger = null, PreferenceData? of = null)
    {
        var done = new List<int>();
        using var cancellation = new CancellationTokenSource();
        var progress = new Callback(count =>
        {
            done.Add(count);
            if (count >= stopAt)
                cancellation.Cancel();
        });
        if (stopAt is null)
            ReferenceLogProbs.LoadOrCompute(path, by ?? pair, of ?? data, MaxTokens, progress, logger, cancellation.Token);
        else
            Assert.Throws<OperationCanceledException>(
                () => ReferenceLogProbs.LoadOrCompute(path, by ?? pair, of ?? data, MaxTokens, progress, logger, cancellation.Token));
        return done;
    }

    private sealed class Callback(Action<int> report) : IProgress<int>
    {
        public void Report(int value) => report(value);
    }

    [Fact]
    public void What_was_computed_is_not_computed_again_and_the_file_is_that_of_one_go()
    {
        var first = Compute(stopAt: 10);
        var second = Compute(stopAt: 20);
        var third = Compute();
        Assert.InRange(first[^1], 10, 19);
        Assert.True(second[0] > first[^1] && third[0] > second[^1], "An example was computed twice.");
        Assert.Equal(Count, third[^1]);
        Assert.Equal(whole, File.ReadAllBytes(path));
        Assert.False(File.Exists(Partial));
        Assert.Equal([path, folder.File("whole")], Directory.GetFiles(folder.Path).Order(StringComparer.Ordinal));
    }

    /// <summary>Wherever the file beside it was cut off, and whatever byte of it was lost: the batches before are used, the rest is computed.</summary>
    [Fact]
    public void A_damaged_rest_is_computed_again()
    {
        Compute(stopAt: Count / 2);
        var partial = File.ReadAllBytes(Partial);
        var random = new Random(1);
        var goneOn = new HashSet<int>();
        for (var at = 0; at < partial.Length; at += random.Next(1, 40))
        {
            foreach (var cut in (bool[])[false, true])
            {
                var bytes = cut ? partial[..at] : [.. partial[..at], (byte)(partial[at] ^ (1 << random.Next(8))), .. partial[(at + 1)..]];
                File.WriteAllBytes(Partial, bytes);
                if (!cut && at < 8)
                {
                    Assert.Equal(
                        $"{Partial} is not what was computed of a reference, so it is not replaced by that; give another path, or delete it.",
                        Assert.Throws<InvalidInputException>(() => Compute()).Message);
                    Assert.Equal(bytes, File.ReadAllBytes(Partial));
                    continue;
                }
                goneOn.Add(Compute()[0]);
                Assert.Equal(whole, File.ReadAllBytes(path));
                File.Delete(path);
            }
        }
        Assert.True(goneOn.Count > 3, "Every computation began at the same place.");
    }

    /// <summary>Bytes that claim to be batches, under right checksums or not, are used only where they hold what they claim.</summary>
    [Theory]
    [InlineData(0)]
    [InlineData(-1)]
    [InlineData(Count)]
    [InlineData(int.MaxValue)]
    public void A_batch_that_is_only_claimed_is_computed(int examples)
    {
        Compute(stopAt: 10);
        var partial = File.ReadAllBytes(Partial);
        File.WriteAllBytes(Partial, [.. partial, .. BitConverter.GetBytes(examples), .. BitConverter.GetBytes(Crc32C.Of(examples, [])), 0, 0]);
        Assert.InRange(Compute()[0], 11, Count);
        Assert.Equal(whole, File.ReadAllBytes(path));
    }

    [Fact]
    public void What_another_reference_left_is_not_gone_on_with()
    {
        using var other = new PolicyReferencePair(new Gpt2(TrainerTests.Shape, seed: 6));
        Compute(stopAt: 10, by: other);
        Assert.Equal(Count, Compute()[^1]);
        Assert.Equal(whole, File.ReadAllBytes(path));
        Assert.NotEqual(ReferenceLogProbsTests.Values(ReferenceLogProbs.Compute(other, data)), ReferenceLogProbsTests.Values(ReferenceLogProbs.Load(path, pair, data)));
    }

    [Fact]
    public void Two_computations_of_one_file_at_once_are_refused()
    {
        var message = "";
        ReferenceLogProbs.LoadOrCompute(path, pair, data, MaxTokens, new Callback(_ =>
        {
            if (message == "")
                message = Assert.Throws<InvalidInputException>(() => ReferenceLogProbs.LoadOrCompute(path, pair, data, MaxTokens)).Message;
        }));
        Assert.StartsWith($"{Partial}, which keeps what is computed of the reference, cannot be opened (", message, StringComparison.Ordinal);
        Assert.EndsWith("if another run writes to it, wait for its end, or give another file.", message, StringComparison.Ordinal);
        Assert.Equal(whole, File.ReadAllBytes(path));
    }

    /// <summary>A run that was killed between the whole file and the end of what is beside it.</summary>
    [Fact]
    public void What_is_left_beside_a_whole_file_is_deleted_when_that_is_loaded()
    {
        Compute(stopAt: 10);
        var partial = File.ReadAllBytes(Partial);
        Compute();
        File.WriteAllBytes(Partial, partial);
        Assert.Empty(Compute());
        Assert.False(File.Exists(Partial));

        using var other = new PolicyReferencePair(new Gpt2(TrainerTests.Shape, seed: 6));
        File.Move(path, folder.File("kept"));
        Compute(stopAt: 10, by: other);
        File.Move(folder.File("kept"), path);
        Assert.Empty(Compute());
        Assert.True(File.Exists(Partial)); // another reference's goes on
    }

    /// <summary>Neither the values nor the examples of data in a file are held in memory.</summary>
    [Fact]
    public void Values_of_data_in_a_file_stay_in_a_file()
    {
        var tokens = folder.File("train.tokens");
        PreferenceData.Write(tokens, data.Examples);
        using var stored = PreferenceData.Open(tokens);
        using var computed = ReferenceLogProbs.LoadOrCompute(path, pair, stored, MaxTokens);
        Assert.Equal(whole, File.ReadAllBytes(path));
        var held = ReferenceLogProbs.Load(path, pair, data);
        Assert.False(computed.Source.IsInMemory);
        Assert.True(held.Source.IsInMemory);
        Assert.Equal(ReferenceLogProbsTests.Values(held), ReferenceLogProbsTests.Values(computed));
        Assert.Equal(held.Source.Summaries, computed.Source.Summaries);
        Assert.Equal(held.Source.Digest, computed.Source.Digest);
        Assert.Equal(held.Examples.Select(example => example.Source), computed.Examples.Select(example => example.Source));
        using (var released = new PolicyReferencePair(new Gpt2(TrainerTests.Shape, seed: 5)))
        {
            released.ReleaseReference();
            using var trainer = new DpoTrainer(released, options: TrainerTests.Options);
            trainer.Train(computed);
        }
        computed.Dispose();
        Assert.Throws<ObjectDisposedException>(() => computed.Examples[0]);
        Assert.Equal(data.Examples[0].Prompt, stored.Examples[0].Prompt); // the data are their owner's
    }
}
