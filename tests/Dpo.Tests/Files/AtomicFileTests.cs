using Mono.Cecil;
using Mono.Cecil.Cil;

namespace Dpo.Tests;

public sealed class AtomicFileTests : IDisposable
{
    private readonly TemporaryFolder folder = new();

    public void Dispose() => folder.Dispose();

    /// <summary>Wherever the disk is full, what lay there before is untouched and nothing lies beside it.</summary>
    [Fact]
    public void A_full_disk_leaves_the_file_before()
    {
        var path = folder.Write("a.bin", "before");
        var content = new byte[100_000];
        foreach (var quota in (long[])[0, 1, content.Length / 2, content.Length - 1])
        {
            var left = quota;
            Assert.Equal("No space left on device.", Assert.Throws<IOException>(() => AtomicFile.Write(path, stream =>
            {
                using var disk = new QuotaStream(stream, written => left -= written, () => left);
                foreach (var piece in content.Chunk(1000))
                    disk.Write(piece.AsSpan());
            })).Message);
            Assert.Equal("before", File.ReadAllText(path));
            Assert.Equal([path], Directory.GetFileSystemEntries(folder.Path));
        }
        AtomicFile.Write(path, stream => stream.Write(content));
        Assert.Equal(content, File.ReadAllBytes(path));
    }

    /// <summary>Where the file cannot have its name, because something else has it that is no file.</summary>
    [Fact]
    public void A_file_that_cannot_take_its_place_is_not_left_beside_it()
    {
        var path = Directory.CreateDirectory(folder.File("model.safetensors")).FullName;
        using var model = new Gpt2(TrainerTests.Shape, seed: 1);
        Assert.True(Record.Exception(() => model.Save(folder.Path)) is IOException or UnauthorizedAccessException);
        Assert.True(Directory.Exists(path));
        Assert.DoesNotContain(Directory.GetFiles(folder.Path), file => file.EndsWith(".tmp", StringComparison.Ordinal));
    }

    /// <summary>So that what is true of it is true of all files: whatever else opens one reads it, appends to it as long as a run goes,
    /// or locks a folder by it.</summary>
    [Fact]
    public void Every_file_that_is_to_be_whole_is_written_by_it()
    {
        using var library = ModuleDefinition.ReadModule(typeof(AtomicFile).Assembly.Location);
        var opening = from type in library.GetTypes()
                      from method in type.Methods
                      where method.HasBody
                      from called in method.Body.Instructions.Select(instruction => instruction.Operand).OfType<MethodReference>()
                      where called.DeclaringType.FullName switch
                      {
                          "System.IO.File" => called.Name is "Create" or "CreateText" or "Open" or "OpenHandle" or "OpenWrite"
                              || called.Name.StartsWith("Write", StringComparison.Ordinal) || called.Name.StartsWith("Append", StringComparison.Ordinal),
                          "System.IO.FileStream" => called.Name == ".ctor",
                          "System.IO.StreamWriter" => called.Name == ".ctor" && called.Parameters[0].ParameterType.FullName == "System.String",
                          _ => false,
                      }
                      select Outermost(type).Name;
        Assert.Equal(
            ["AtomicFile", "EventFile", "FolderLock", "GrowingFile", "MetricsTable", "PartialReferenceLogProbs", "RegularFile", "StepLines"],
            opening.Distinct().Order(StringComparer.Ordinal));

        static TypeDefinition Outermost(TypeDefinition type) => type.DeclaringType is { } outer ? Outermost(outer) : type;
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
}
