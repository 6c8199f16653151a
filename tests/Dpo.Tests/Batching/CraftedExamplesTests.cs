using System.Runtime.InteropServices;
using CsCheck;

namespace Dpo.Tests;

/// <summary>Files whose checksums are right and whose examples are not: made by hand, or by a program with a fault.</summary>
public sealed class CraftedExamplesTests : IDisposable
{
    private static readonly TrainingExample good = new([1, 2], [[3], [4, 5], [6]], [new(0, 1)])
    {
        Ranking = [1, 0],
        Scores = [0.5f, -1],
        Labels = [true, false],
        ReferenceLogProbs = [[-1], [-2, -3], [-4]],
        MismatchedCount = 1,
        Source = "train.jsonl:1",
    };

    private readonly TemporaryFolder folder = new();

    public void Dispose() => folder.Dispose();

    private static byte[] Bytes(TrainingExample example)
    {
        using var stream = new MemoryStream();
        TokenizedExampleRecord.Write(stream, example);
        return stream.ToArray();
    }

    /// <summary>Reads a file of one example, with checksums and an index that fit.</summary>
    private TrainingExample Read(byte[] record, ExampleSummary summary)
    {
        var path = folder.File("crafted.tokens");
        using (var stream = File.Create(path))
        using (var writer = new TokenizedExampleWriter(stream))
        {
            writer.Add(record, summary);
            writer.End(tokenizer: null);
        }
        using var data = PreferenceData.Open(path);
        return data.Examples[0];
    }

    /// <summary>The index says of it what any two bytes might be.</summary>
    private string Refusal(byte[] record) =>
        Assert.Throws<InvalidInputException>(() => Read(record, ExampleSummary.Of(new([0], [[0]], [])))).Message;

    private string Sentence(string fault) =>
        $"{folder.File("crafted.tokens")}: example 1 of 1 makes no sense, because {fault}; write it anew with PreferenceData.Write.";

    public static TheoryData<string, object> Senseless => new()
    {
        { "its prompt has no token", good with { Prompt = [] } },
        { "it has no completion", good with { Completions = [], MismatchedCount = 0 } },
        { "a completion has no token", good with { Completions = [[3], [], [6]] } },
        { "it has the id -7", good with { Completions = [[3], [4, -7], [6]] } },
        { "it has the id -1", good with { Prompt = [1, -1] } },
        { "completions 0 and 2 of 2, counted from 0, are no pair", good with { Pairs = [new(0, 2)] } },
        { "completions -1 and 0 of 2, counted from 0, are no pair", good with { Pairs = [new(0, 1), new(-1, 0)] } },
        { "completions 1 and 1 of 2, counted from 0, are no pair", good with { Pairs = [new(1, 1)] } },
        { "its ranking does not hold each of its 2 completions once", good with { Ranking = [0, 0] } },
        { "its ranking does not hold each of its 2 completions once", good with { Ranking = [0, 1, 2] } },
        { "it has 3 scores for 2 completions", good with { Scores = [1, 2, 3] } },
        { "it has 1 labels for 2 completions", good with { Labels = [true] } },
        { "its reference log-probabilities belong to other completions", good with { ReferenceLogProbs = [[-1], [-2], [-4]] } },
        { "4 of its 3 completions belong to other prompts", good with { MismatchedCount = 4 } },
        { "-1 of its 3 completions belong to other prompts", good with { MismatchedCount = -1 } },
    };

    [Theory]
    [MemberData(nameof(Senseless))]
    public void An_example_that_makes_no_sense_is_refused_where_it_is_read_and_where_it_is_written(string fault, object example)
    {
        var senseless = (TrainingExample)example;
        Assert.Equal(Sentence(fault), Refusal(Bytes(senseless)));
        var path = folder.File("written.tokens");
        Assert.Equal(
            $"{path}: example 2 (train.jsonl:1) cannot be written, because {fault}.",
            Assert.Throws<InvalidInputException>(() => PreferenceData.Write(path, [good, senseless])).Message);
        Assert.False(File.Exists(path));
    }

    [Fact]
    public void Bytes_that_are_no_example_are_refused()
    {
        Assert.Equal("train.jsonl:1", Read(Bytes(good), ExampleSummary.Of(good)).Source);
        Assert.Equal(Sentence("a number has too many bytes"), Refusal([255, 255, 255, 255, 255, 255, 255, 255, 255]));
        Assert.Equal(Sentence("it ends too early"), Refusal(Bytes(good)[..^1]));
        Assert.Equal(Sentence("1 bytes are left over"), Refusal([.. Bytes(good), 0]));
        Assert.Equal(Sentence("a list is missing"), Refusal([0, 0]));
        Assert.Equal(Sentence("it is not what the index says of it"), Refusal(Bytes(good with { Prompt = [1, 2, 3] })));
    }

    /// <summary>Four bytes that claim 268 million tokens.</summary>
    [Fact]
    public void Nothing_is_allocated_that_bytes_only_claim()
    {
        byte[] claims = [255, 255, 255, 127, 1];
        var before = GC.GetAllocatedBytesForCurrentThread();
        var message = Refusal(claims);
        Assert.Equal(Sentence("a list claims 268435454 items, which its bytes cannot hold"), message);
        Assert.InRange(GC.GetAllocatedBytesForCurrentThread() - before, 0, 1_000_000);
    }

    /// <summary>What is read of any bytes is an example that makes sense, or nothing.</summary>
    [Fact]
    public void Any_bytes_under_a_valid_checksum_are_an_example_or_are_refused_by_name()
    {
        var path = folder.File("crafted.tokens");
        Gen.Select(Gen.Int[0, 10_000], Gen.Byte, Gen.Int[0, 3], Gen.Byte.Array[0, 40]).Array[1, 3].Sample(
            changes =>
            {
                var bytes = Bytes(good).ToList();
                foreach (var (place, value, kind, random) in changes)
                {
                    var at = place % Math.Max(1, bytes.Count);
                    if (kind == 0 || bytes.Count == 0)
                        bytes = [.. random, 0];
                    else if (kind == 1)
                        bytes.Insert(at, value);
                    else if (kind == 2)
                        bytes.RemoveAt(at);
                    else
                        bytes[at] = value;
                }
                if (bytes.Count < 2)
                    return;
                try
                {
                    var example = TokenizedExampleRecord.Read([.. bytes]);
                    Assert.Null(TokenizedExampleFault.Of(example));
                    Assert.Equal(ExampleSummary.Of(example), ExampleSummary.Of(Read([.. bytes], ExampleSummary.Of(example))));
                }
                catch (FormatException)
                {
                    Assert.StartsWith($"{path}: example 1 of 1 makes no sense, because ", Refusal([.. bytes]), StringComparison.Ordinal);
                }
            },
            iter: 3000, threads: 1);
    }

    /// <summary>An index whose checksums are right may still lie about places and sizes.</summary>
    [Theory]
    [InlineData(0, 5)]
    [InlineData(-1, 5)]
    [InlineData(8, 0)]
    [InlineData(8, -5)]
    [InlineData(8, int.MaxValue)]
    [InlineData(long.MaxValue, 5)]
    public void A_place_outside_the_file_is_refused(long start, int length)
    {
        var path = folder.File("crafted.tokens");
        var entry = new TokenizedExampleIndex.Entry(start, length, 0, ExampleSummary.Of(good));
        File.WriteAllBytes(path, Envelope(MemoryMarshal.AsBytes<TokenizedExampleIndex.Entry>([entry]), count: 1));
        Assert.Equal(
            $"{path}: example 1 of 1 is damaged; write it anew with PreferenceData.Write.",
            Assert.Throws<InvalidInputException>(() => PreferenceData.Open(path)).Message);
    }

    public static TheoryData<object> Impossible =>
    [
        ExampleSummary.Of(good) with { PromptTokens = int.MaxValue },
        ExampleSummary.Of(good) with { PromptTokens = 0 },
        ExampleSummary.Of(good) with { Completions = -1 },
        ExampleSummary.Of(good) with { Completions = 1000 },
        ExampleSummary.Of(good) with { Mismatched = 4 },
        ExampleSummary.Of(good) with { LargestId = -1 },
        ExampleSummary.Of(good) with { LongestCompletion = 5 },
        ExampleSummary.Of(good) with { Counts = ExampleSummary.Of(good).Counts with { CompletionTokens = int.MaxValue } },
        ExampleSummary.Of(good) with { Counts = ExampleSummary.Of(good).Counts with { Pairs = 1 << 30 } },
        ExampleSummary.Of(good) with { Counts = ExampleSummary.Of(good).Counts with { Pairs = -1 } },
    ];

    /// <summary>Batches are planned, and memory is allocated, by what the index says; so it says no more than the bytes may hold.</summary>
    [Theory]
    [MemberData(nameof(Impossible))]
    public void A_summary_of_more_than_the_bytes_hold_is_refused(object summary) =>
        Assert.Equal(
            $"{folder.File("crafted.tokens")}: example 1 of 1 is damaged; write it anew with PreferenceData.Write.",
            Assert.Throws<InvalidInputException>(() => Read(Bytes(good), (ExampleSummary)summary)).Message);

    /// <summary>What the index says of an example is looked at again when that is read.</summary>
    [Fact]
    public void An_index_that_changes_while_the_file_is_open_allocates_nothing()
    {
        if (OperatingSystem.IsWindows())
            return; // keeps others from writing to a file that is read
        var path = folder.File("crafted.tokens");
        PreferenceData.Write(path, [good]);
        using var data = PreferenceData.Open(path);
        using (var file = new FileStream(path, FileMode.Open, FileAccess.Write, FileShare.ReadWrite))
        {
            file.Position = TokenizedExampleIndex.Magic.Length + Bytes(good).Length;
            file.Write(MemoryMarshal.AsBytes<TokenizedExampleIndex.Entry>([new(8, 1 << 30, 0, ExampleSummary.Of(good))]));
        }
        var before = GC.GetAllocatedBytesForCurrentThread();
        Assert.Equal(
            $"{path}: example 1 of 1 is damaged; write it anew with PreferenceData.Write.",
            Assert.Throws<InvalidInputException>(() => data.Examples[0]).Message);
        Assert.InRange(GC.GetAllocatedBytesForCurrentThread() - before, 0, 1_000_000);
    }

    [Fact]
    public async Task Pipes_are_refused_without_waiting()
    {
        if (OperatingSystem.IsWindows())
            return;
        using var pair = new PolicyReferencePair(new Gpt2(TrainerTests.Shape, seed: 5));
        var path = folder.File("pipe");
        RegularFileTests.MakePipe(path);
        RegularFileTests.MakePipe(folder.File("other.partial"));
        async Task Refused(string name, Action read) => Assert.Equal(
            $"{name} is a pipe or a device, which has no length; give a regular file.",
            await RegularFileTests.RefusalOf(read));
        await Refused(path, () => PreferenceData.Open(path));
        await Refused(path, () => ReferenceLogProbs.LoadOrCompute(path, pair, TrainerTests.Data(2)));
        await Refused(folder.File("other.partial"), () => ReferenceLogProbs.LoadOrCompute(folder.File("other"), pair, TrainerTests.Data(2)));
    }

    [Theory]
    [InlineData(0)]
    [InlineData(-1)]
    [InlineData(3)]
    [InlineData(int.MaxValue)]
    [InlineData(long.MaxValue)]
    public void A_count_that_the_file_does_not_hold_is_refused(long count)
    {
        var path = folder.File("crafted.tokens");
        File.WriteAllBytes(path, Envelope([], count));
        Assert.Equal(
            $"{path}: this is no file of tokenized examples, or it was cut off; write it anew with PreferenceData.Write.",
            Assert.Throws<InvalidInputException>(() => PreferenceData.Open(path)).Message);
    }

    [Theory]
    [InlineData(0)]
    [InlineData(-1)]
    [InlineData(1000)]
    [InlineData(long.MaxValue)]
    public void Entries_outside_the_file_are_refused(long start)
    {
        var path = folder.File("crafted.tokens");
        var entry = new TokenizedExampleIndex.Entry(8, 5, 0, ExampleSummary.Of(good));
        File.WriteAllBytes(path, Envelope(MemoryMarshal.AsBytes<TokenizedExampleIndex.Entry>([entry]), count: 1, start));
        Assert.Equal(
            $"{path}: this is no file of tokenized examples, or it was cut off; write it anew with PreferenceData.Write.",
            Assert.Throws<InvalidInputException>(() => PreferenceData.Open(path)).Message);
    }

    /// <summary>No array has two gigabytes; the file takes none of them on the disk.</summary>
    [Fact]
    public void A_table_longer_than_any_array_is_refused()
    {
        var path = folder.File("crafted.tokens");
        using (var file = File.Create(path))
        {
            file.Write(TokenizedExampleIndex.Magic);
            file.SetLength(int.MaxValue + 1000L);
            file.Seek(0, SeekOrigin.End);
            file.Write([.. BitConverter.GetBytes(1L), .. BitConverter.GetBytes(8L), .. new byte[8], .. TokenizedExampleIndex.Magic]);
        }
        Assert.Equal(
            $"{path}: this is no file of tokenized examples, or it was cut off; write it anew with PreferenceData.Write.",
            Assert.Throws<InvalidInputException>(() => PreferenceData.Open(path)).Message);
    }

    /// <summary>A file with the entries it is given, and all checksums right.</summary>
    private static byte[] Envelope(ReadOnlySpan<byte> entries, long count, long start = 8)
    {
        var block = new TokenizedExampleIndex.Block(start, Crc32C.Of(0, entries));
        byte[] body = [.. TokenizedExampleIndex.Magic, .. entries];
        byte[] tail =
        [
            .. MemoryMarshal.AsBytes<TokenizedExampleIndex.Block>([block]), .. new byte[96],
            .. BitConverter.GetBytes(count), .. BitConverter.GetBytes((long)body.Length),
        ];
        return [.. body, .. tail, .. BitConverter.GetBytes((ulong)Crc32C.Of((int)count, tail)), .. TokenizedExampleIndex.Magic];
    }
}
