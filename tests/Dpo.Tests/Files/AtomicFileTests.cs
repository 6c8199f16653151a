using Mono.Cecil;
using Mono.Cecil.Cil;

namespace Dpo.Tests;

public sealed class AtomicFileTests : IDisposable
{
    private readonly TemporaryFolder folder = new();
    private readonly PolicyReferencePair pair = new(new Gpt2(TrainerTests.Shape, seed: 5));

    public void Dispose()
    {
        AtomicFile.Through = null;
        pair.Dispose();
        folder.Dispose();
    }

    /// <summary>Wherever the disk is full, what lay there before is untouched and nothing lies beside it, but what a computation of
    /// the reference has so far, which the next one goes on with.</summary>
    [Theory]
    [InlineData("train.tokens")]
    [InlineData("reference.safetensors")]
    [InlineData("model.safetensors")]
    public void A_full_disk_leaves_the_file_before(string name)
    {
        var path = folder.File(name);
        Write(name, seed: 1);
        var before = File.ReadAllBytes(path);
        var files = Directory.GetFileSystemEntries(folder.Path).Order();
        foreach (var quota in (long[])[0, 1, before.Length / 2, before.Length - 1])
        {
            var left = quota;
            AtomicFile.Through = stream => new QuotaStream(stream, written => left -= written, () => left);
            Assert.Equal("No space left on device.", Assert.Throws<IOException>(() => Write(name, seed: 2)).Message);
            Assert.Equal(before, File.ReadAllBytes(path));
            Assert.Equal(files, Directory.GetFileSystemEntries(folder.Path).Where(entry => !entry.EndsWith(".partial", StringComparison.Ordinal)).Order());
        }

        AtomicFile.Through = null;
        Write(name, seed: 2);
        Assert.NotEqual(before, File.ReadAllBytes(path));
    }

    /// <summary>What a killed run left is deleted when its target is written again; what another process is writing stays, and so does
    /// everything that only looks alike.</summary>
    [Fact]
    public void Temporary_files_of_killed_runs_are_swept_when_the_same_target_is_written_again()
    {
        static string Temporary(string name) => $"{name}.{Guid.NewGuid():N}.tmp";
        var (left, live) = (folder.Write(Temporary("a.json"), "torn"), folder.Write(Temporary("a.json"), "being written"));
        string[] others =
        [
            folder.Write(Temporary("b.json"), ""), folder.Write(Temporary("ba.json"), ""), folder.Write("a.json.tmp", ""),
            folder.Write("a.json.mine.tmp", ""), folder.Write($"a.json.{new string('g', 32)}.tmp", ""), folder.Write("secret", "kept"),
        ];
        var link = folder.File(Temporary("a.json"));
        File.CreateSymbolicLink(link, folder.File("secret"));
        using (new FileStream(live, FileMode.Open, FileAccess.Write, FileShare.Delete))
            AtomicFile.Write(folder.File("a.json"), stream => stream.WriteByte(1));
        Assert.False(File.Exists(left) || new FileInfo(link).LinkTarget is not null);
        Assert.All(others.Append(live), file => Assert.True(File.Exists(file), file));
        Assert.Equal("kept", File.ReadAllText(folder.File("secret")));
    }

    [Fact]
    public void Two_writers_of_one_file_do_not_sweep_each_other_away()
    {
        var path = folder.File("a.json");
        AtomicFile.Write(path, stream =>
        {
            stream.WriteByte(1);
            AtomicFile.Write(path, inner => inner.WriteByte(2));
            Assert.Equal([2], File.ReadAllBytes(path));
        });
        Assert.Equal([1], File.ReadAllBytes(path));
        Assert.Equal([path], Directory.GetFiles(folder.Path));
    }

    [Fact]
    public void A_link_is_replaced_and_not_followed()
    {
        var target = folder.Write("secret", "kept");
        File.CreateSymbolicLink(folder.File("a.json"), target);
        AtomicFile.Write(folder.File("a.json"), stream => stream.WriteByte(1));
        Assert.Equal(("kept", null), (File.ReadAllText(target), new FileInfo(folder.File("a.json")).LinkTarget));
    }

    /// <summary>After a power cut a name leads to the whole file only if the bytes were on the disk before it, and is there only if the
    /// folder was flushed behind it. No test can cut the power, so the compiled code is asked.</summary>
    [Fact]
    public void Bytes_are_flushed_before_the_file_has_its_name_and_the_folder_after()
    {
        using var library = ModuleDefinition.ReadModule(typeof(AtomicFile).Assembly.Location);
        var code = library.GetType(typeof(AtomicFile).FullName).Methods.Single(method => method.Name == nameof(AtomicFile.Write)).Body.Instructions;
        string[] steps = ["System.IO.FileStream.Flush", "System.IO.File.Move", $"{typeof(DurableFolder).FullName}.{nameof(DurableFolder.Flush)}"];
        var calls = code.Where(instruction => instruction.Operand is MethodReference called && steps.Contains($"{called.DeclaringType.FullName}.{called.Name}"));
        Assert.Equal(steps, calls.Select(call => (MethodReference)call.Operand).Select(called => $"{called.DeclaringType.FullName}.{called.Name}"));
        Assert.Equal(OpCodes.Ldc_I4_1, calls.First().Previous.OpCode); // to the disk, and not to the system alone
    }

    private void Write(string name, int seed)
    {
        var data = TrainerTests.Data(5, seed);
        switch (name)
        {
            case "train.tokens":
                PreferenceData.Write(folder.File(name), data.Examples);
                break;
            case "reference.safetensors":
                ReferenceLogProbs.LoadOrCompute(folder.File(name), pair, data);
                break;
            default:
                using (var model = new Gpt2(TrainerTests.Shape, seed))
                    model.Save(folder.Path);
                break;
        }
    }
}
