using System.Text.Json;
using System.Text.Json.Serialization;
using CsCheck;

namespace Dpo.Tests;

public sealed class TokenizedExampleFileTests : IDisposable
{
    private readonly TemporaryFolder folder = new();

    public void Dispose() => folder.Dispose();

    private static readonly Gen<int[]> Ids = Gen.Int[0, 1 << 20].Array[1, 6];

    private static readonly Gen<TrainingExample> Examples = Gen.Select(Ids, Ids.Array[2, 3], Gen.Int[0, 15], Gen.Single, Gen.String).Select((prompt, completions, extras, number, source) =>
        new TrainingExample(prompt, completions, (extras & 1) != 0 ? [] : [new(0, 1), new(1, 0)])
        {
            // The last completion is another prompt's where there are no pairs.
            Ranking = (extras & 2) == 0 ? null : [.. Enumerable.Range(0, completions.Length - (extras & 1))],
            Scores = (extras & 2) == 0 ? null : [.. completions.Skip(extras & 1).Select((_, index) => number + index)],
            Labels = (extras & 4) == 0 ? null : [.. completions.Skip(extras & 1).Select((_, index) => index == 1)],
            MismatchedCount = extras & 1,
            ReferenceLogProbs = (extras & 8) == 0 ? null : [.. completions.Select(ids => (float[])[.. ids.Select(id => -0.25f * id)])],
            Source = (extras & 8) == 0 ? null : source,
        });

    private static readonly JsonSerializerOptions Readable = new() { NumberHandling = JsonNumberHandling.AllowNamedFloatingPointLiterals };

    private static string Text(TrainingExample example) => JsonSerializer.Serialize(example, Readable);

    [Fact]
    public void Batches_of_a_file_are_those_of_memory()
    {
        var path = folder.File("train.tokens");
        Gen.Select(Examples.Array[1, 12], Gen.Int[1, 5], Gen.Int).Sample(
            (examples, size, seed) =>
            {
                PreferenceData.Write(path, examples);
                var expected = new PreferenceData(examples).Batches(size, seed, 3).Select(batch => batch.Examples.Select(Text).ToArray());
                using var opened = PreferenceData.Open(path);
                Assert.Equal(expected, opened.Batches(size, seed, 3).Select(batch => batch.Examples.Select(Text).ToArray()));
                Assert.Equal(examples.Select(Text), opened.Examples.Select(Text));
                Assert.Equal(new PreferenceData(examples).Source.Digest, opened.Source.Digest);
                Assert.Equal(new PreferenceData(examples).Source.Summaries, opened.Source.Summaries);
                Assert.Equal(PreferenceCounts.Of(examples), opened.Counts);
            },
            iter: 200, threads: 1);
    }

    [Fact]
    public void A_batch_allocates_its_own_examples_and_eight_bytes_for_each_other()
    {
        const int Count = 20_000;
        var path = folder.File("train.tokens");
        var prompt = Enumerable.Range(0, 500).ToArray();
        PreferenceData.Write(path, Enumerable.Range(0, Count).Select(index => new TrainingExample(prompt, [[index], [1]], [new(0, 1)])));
        var before = GC.GetAllocatedBytesForCurrentThread();
        using var data = PreferenceData.Open(path);
        var batch = data.Batches(8, seed: 1).First();
        var allocated = GC.GetAllocatedBytesForCurrentThread() - before;
        Assert.Equal(8, batch.Examples.Count);
        // The prompts of all examples have 40 MB.
        Assert.InRange(allocated, 8 * Count, 8 * Count + 150_000);
    }

    [Fact]
    public void Whatever_byte_is_changed_or_missing_the_file_is_refused()
    {
        var path = folder.File("train.tokens");
        Gen.Select(Examples.Array[1, 4], Gen.UInt, Gen.Byte[1, 255], Gen.Bool).Sample(
            (examples, place, change, cut) =>
            {
                PreferenceData.Write(path, examples);
                var bytes = File.ReadAllBytes(path);
                var at = (int)(place % (uint)bytes.Length);
                bytes[at] ^= change;
                File.WriteAllBytes(path, cut ? bytes[..at] : bytes);
                var e = Assert.Throws<InvalidInputException>(() => ReadAll(path));
                Assert.StartsWith($"{path}: ", e.Message);
            },
            iter: 500, threads: 1);
    }

    private static List<TrainingExample> ReadAll(string path)
    {
        using var data = PreferenceData.Open(path);
        return [.. data.Examples];
    }

    /// <summary>More examples than a block has, so that places and checksums of the index's parts count.</summary>
    [Fact]
    public void Blocks_lie_one_behind_the_other()
    {
        var path = folder.File("train.tokens");
        foreach (var count in (int[])[TokenizedExampleIndex.BlockSize, (3 * TokenizedExampleIndex.BlockSize) + 1])
        {
            PreferenceData.Write(path, Enumerable.Range(0, count).Select(id => new TrainingExample([id], [[7], [8, id]], [new(1, 0)])));
            using var data = PreferenceData.Open(path);
            Assert.Equal(Enumerable.Range(0, count), data.Examples.Select(example => example.Prompt[0]));
            Assert.Equal(Enumerable.Range(0, count).Select(id => Math.Max(8, id)), data.Source.Summaries.Select(summary => summary.LargestId));
            Assert.Equal(count, data.Counts.Pairs);
        }
    }

    [Fact]
    public void A_file_is_closed_when_its_data_are_disposed()
    {
        var path = folder.File("train.tokens");
        PreferenceData.Write(path, [new TrainingExample([1], [[2]], [])]);
        int Handles() => Directory.GetFiles("/proc/self/fd").Count(link => new FileInfo(link).LinkTarget == path);
        var data = PreferenceData.Open(path);
        if (OperatingSystem.IsLinux())
            Assert.Equal(1, Handles());
        data.Dispose();
        Assert.Throws<ObjectDisposedException>(() => data.Examples[0]);
        File.WriteAllText(path, "no such file");
        Assert.Throws<InvalidInputException>(() => PreferenceData.Open(path));
        if (OperatingSystem.IsLinux())
            Assert.Equal(0, Handles());
    }

    [Fact]
    public void The_tokenizer_that_made_a_file_is_named_and_another_refused()
    {
        var path = folder.File("train.tokens");
        var tokenizer = TextTokenizer.Load(Fixture.Path("models", "gpt2"));
        PreferenceData.Write(path, [new TrainingExample([1], [[2]], [])], tokenizer);
        tokenizer.Save(folder.File("saved")); // the same tokenizer in another folder
        using (var data = PreferenceData.Open(path, TextTokenizer.Load(folder.File("saved"))))
            Assert.Equal(Fixture.Path("models", "gpt2"), data.TokenizerName);
        var other = TextTokenizer.Train(["some other text"], 257);
        Assert.Equal(
            $"{path}: the ids were made by another tokenizer, that of {Fixture.Path("models", "gpt2")}, and the one given is that of trained tokenizer; " +
            "write the file anew with PreferenceData.Write and this tokenizer.",
            Assert.Throws<InvalidInputException>(() => PreferenceData.Open(path, other)).Message);
        PreferenceData.Write(path, [new TrainingExample([1], [[2]], [])]);
        Assert.Contains("the ids do not say which tokenizer made them", Assert.Throws<InvalidInputException>(() => PreferenceData.Open(path, other)).Message, StringComparison.Ordinal);
        using var unnamed = PreferenceData.Open(path);
        Assert.Null(unnamed.TokenizerName);
    }

    /// <summary>Another merge, another id or another end of text is another tokenizer.</summary>
    [Fact]
    public void Tokenizers_of_other_merges_are_told_apart()
    {
        string[] digests = [.. ((string[])["aa aa bb", "aa bb bb", "ab ab"]).Select(text => TextTokenizer.Train([text], 300).Identity.Digest)];
        Assert.Equal(3, digests.Distinct().Count());
        Assert.Equal(digests[0], TextTokenizer.Train(["aa aa bb"], 300).Identity.Digest);
    }

    [Fact]
    public void A_file_without_an_index_is_refused_by_its_version()
    {
        // A record of nine bytes FF under a valid checksum, as the first version wrote it.
        var path = folder.File("crafted.tokens");
        File.WriteAllBytes(path, Convert.FromHexString("44706F546F6B733123E8B1EFFFFFFFFFFFFFFFFFFF080000000000000015000000000000000100000000000000" + "44706F546F6B7331"));
        Assert.Equal(
            $"{path}: this file of tokenized examples is of the format's first version, without an index; write it anew with PreferenceData.Write.",
            Assert.Throws<InvalidInputException>(() => PreferenceData.Open(path)).Message);
    }

    [Fact]
    public void No_example_and_no_file_are_refused_and_the_old_file_stays()
    {
        var path = folder.Write("train.tokens", "old");
        Assert.Equal(
            $"{path}: there is no example to write; see the counts of dropped rows.",
            Assert.Throws<InvalidInputException>(() => PreferenceData.Write(path, [])).Message);
        Assert.Equal("old", File.ReadAllText(path));
        Assert.Equal(
            $"{path}: this is no file of tokenized examples, or it was cut off; write it anew with PreferenceData.Write.",
            Assert.Throws<InvalidInputException>(() => PreferenceData.Open(path)).Message);
        Assert.StartsWith(
            $"{folder.File("none")} cannot be read: ",
            Assert.Throws<InvalidInputException>(() => PreferenceData.Open(folder.File("none"))).Message);
    }
}
