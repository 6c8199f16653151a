using System.Buffers.Binary;
using System.Text;

namespace Dpo.Package.Tests;

/// <summary>The task of Dpo.targets on small files made by hand.</summary>
public sealed class TargetsTests : IDisposable
{
    private const int Flags = 192 + 16 + 4;

    private readonly string folder = Directory.CreateTempSubdirectory("dpo-targets-").FullName;

    public void Dispose() => Directory.Delete(folder, recursive: true);

    [Fact]
    public void Marks_the_one_version_as_weak_and_copies_whatever_is_not_as_expected()
    {
        var elf = CreateElf("GLIBCXX_3.4.32");
        var cases = new Dictionary<string, byte[]>
        {
            ["needed"] = elf,
            ["weak"] = With(elf, Flags, 2),
            ["other"] = CreateElf("GLIBCXX_3.4.30"),
            ["text"] = Encoding.UTF8.GetBytes("no ELF file, but as long as the header of one, which has 64 bytes"),
            ["empty"] = [],
            ["header"] = elf[..64],
            ["cut"] = elf[..(Flags + 2)],
            ["sections"] = With(elf, 47, 0x7f),
            ["strings"] = With(elf, 64 + 64 + 27, 0x7f),
            ["name"] = With(elf, Flags + 7, 0x7f),
            ["big-endian"] = With(elf, 5, 2),
        };
        foreach (var (name, bytes) in cases)
            File.WriteAllBytes(Path.Combine(folder, name), bytes);
        // An output that is a link to the package cache must not let the copy through.
        if (!OperatingSystem.IsWindows())
            File.CreateSymbolicLink(Path.Combine(folder, "needed.out"), Path.Combine(folder, "needed"));

        File.WriteAllText(Path.Combine(folder, "cases.proj"), $"""
            <Project DefaultTargets="Weaken">
              <Import Project="{Path.Combine(PackedLibrary.Repository, "src", "Dpo", "buildTransitive", "Dpo.targets")}" />
              <ItemGroup><Case Include="{string.Join(';', cases.Keys)}" /></ItemGroup>
              <Target Name="Weaken">
                <DpoWeakenVersionNeed Source="%(Case.FullPath)" Destination="%(Case.FullPath).out" Version="GLIBCXX_3.4.32" />
              </Target>
            </Project>
            """);
        DotNet.Run(folder, new Dictionary<string, string>(), "msbuild", "cases.proj").Succeeded();

        foreach (var (name, bytes) in cases)
        {
            Assert.Equal(bytes, File.ReadAllBytes(Path.Combine(folder, name)));
            Assert.Equal(name == "needed" ? cases["weak"] : bytes, File.ReadAllBytes(Path.Combine(folder, name + ".out")));
        }
        Assert.Empty(Directory.GetFiles(folder, "*.tmp"));
    }

    /// <summary>A shared library with nothing in it but two section headers, a string table and one needed version.</summary>
    private static byte[] CreateElf(string version)
    {
        var elf = new byte[Flags + 12 + 32];
        new byte[] { 0x7f, (byte)'E', (byte)'L', (byte)'F', 2, 1, 1 }.CopyTo(elf, 0);
        Write(elf, 40, 64);         // where the section headers begin
        Write(elf, 58, 64 | 2 << 16); // their size and number
        Write(elf, 64 + 4, 3);      // a string table
        Write(elf, 64 + 24, Flags + 12);
        Write(elf, 128 + 4, 0x6ffffffe); // the needed versions, with the string table's index and their number
        Write(elf, 128 + 24, 192);
        Write(elf, 128 + 40, 0);
        Write(elf, 128 + 44, 1);
        Write(elf, 192, 1 | 1 << 16); // a library with one version, 16 bytes on
        Write(elf, 192 + 8, 16);
        Write(elf, Flags + 4, 3);   // the version's name in the string table
        Encoding.ASCII.GetBytes($"so\0{version}\0").CopyTo(elf, Flags + 12);
        return elf;
    }

    private static void Write(byte[] bytes, int at, int value) => BinaryPrimitives.WriteInt32LittleEndian(bytes.AsSpan(at), value);

    private static byte[] With(byte[] bytes, int at, byte value)
    {
        var changed = bytes.ToArray();
        changed[at] = value;
        return changed;
    }
}
