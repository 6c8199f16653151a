using System.Text.Json;
using System.Text.Json.Serialization;
using CsCheck;

namespace Dpo.Tests;

public sealed class TokenizedExampleFileTests : IDisposable
{
    private readonly TemporaryFolder folder = new();

    public void Dispose() => folder.Dispose();

    private static readonly Gen<int[]> Ids = Gen.Int[0, 1 << 20].Array[1, 6];

    private static readonly Gen<TokenizedExample> Examples = Gen.Select(Ids, Ids.Array[2, 3], Gen.Int[0, 15], Gen.Single, Gen.String).Select((prompt, completions, extras, number, source) =>
        new TokenizedExample(prompt, completions, (extras & 1) == 0 ? [] : [new(0, 1), new(1, 0)])
        {
            Ranking = (extras & 2) == 0 ? null : [.. Enumerable.Range(0, completions.Length)],
            Scores = (extras & 2) == 0 ? null : [.. completions.Select((_, index) => number + index)],
            Labels = (extras & 4) == 0 ? null : [.. completions.Select((_, index) => index == 1)],
            MismatchedCount = extras & 1,
            ReferenceLogProbs = (extras & 8) == 0 ? null : [.. completions.Select(ids => (float[])[.. ids.Select(id => -0.25f * id)])],
            Source = (extras & 8) == 0 ? null : source,
        });

    private static readonly JsonSerializerOptions Readable = new() { NumberHandling = JsonNumberHandling.AllowNamedFloatingPointLiterals };

    private static string Text(TokenizedExample example) => JsonSerializer.Serialize(example, Readable);

    [Fact]
    public void Batches_of_a_file_are_those_of_memory()
    {
        var path = folder.File("train.tokens");
        Gen.Select(Examples.Array[1, 12], Gen.Int[1, 5], Gen.Int).Sample(
            (examples, size, seed) =>
            {
                PreferenceData.Write(path, examples);
                var expected = new PreferenceData(examples).Batches(size, seed, 3).Select(batch => batch.Examples.Select(Text).ToArray());
                Assert.Equal(expected, PreferenceData.Open(path).Batches(size, seed, 3).Select(batch => batch.Examples.Select(Text).ToArray()));
                Assert.Equal(examples.Select(Text), PreferenceData.Open(path).Examples.Select(Text));
            },
            iter: 200, threads: 1);
    }

    [Fact]
    public void A_batch_allocates_its_own_examples_and_four_bytes_for_each_other()
    {
        const int Count = 20_000;
        var path = folder.File("train.tokens");
        var prompt = Enumerable.Range(0, 500).ToArray();
        PreferenceData.Write(path, Enumerable.Range(0, Count).Select(index => new TokenizedExample(prompt, [[index], [1]], [new(0, 1)])));
        var before = GC.GetAllocatedBytesForCurrentThread();
        var batch = PreferenceData.Open(path).Batches(8, seed: 1).First();
        var allocated = GC.GetAllocatedBytesForCurrentThread() - before;
        Assert.Equal(8, batch.Examples.Count);
        // The prompts of all examples have 40 MB.
        Assert.InRange(allocated, 4 * Count, 4 * Count + 150_000);
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
                var e = Assert.Throws<InvalidInputException>(() => PreferenceData.Open(path).Examples.ToList());
                Assert.StartsWith($"{path}: ", e.Message);
            },
            iter: 500, threads: 1);
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
            $"{folder.File("none")}: the file cannot be opened (",
            Assert.Throws<InvalidInputException>(() => PreferenceData.Open(folder.File("none"))).Message);
    }
}
