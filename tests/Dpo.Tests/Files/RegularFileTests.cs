using System.Diagnostics;
using System.Net.Sockets;

namespace Dpo.Tests;

public sealed class RegularFileTests : IDisposable
{
    private readonly TemporaryFolder folder = new();

    public void Dispose() => folder.Dispose();

    [Fact]
    public void A_regular_file_is_read_empty_or_not_and_through_a_link()
    {
        var path = folder.Write("file", 1, 2, 3);
        File.CreateSymbolicLink(folder.File("link"), path);
        Assert.Equal([1, 2, 3], RegularFile.ReadAllBytes(path, maximum: 3));
        Assert.Equal([1, 2, 3], RegularFile.ReadAllBytes(folder.File("link"), maximum: 3));
        Assert.Empty(RegularFile.ReadAllBytes(folder.Write("empty"), maximum: 0));
        using var stream = RegularFile.OpenRead(path);
        Assert.Equal(1, stream.ReadByte());
    }

    [Fact]
    public void A_file_that_is_too_long_is_refused_by_its_length()
    {
        var path = folder.File("sparse");
        using (var stream = File.Create(path))
            stream.SetLength(1L << 40);
        Assert.Equal(
            $"{path} has {1L << 40} bytes; at most 1000 are read of such a file.",
            Assert.Throws<InvalidInputException>(() => RegularFile.ReadAllBytes(path, maximum: 1000)).Message);
    }

    [Fact]
    public void What_the_system_says_of_other_files_is_passed_on()
    {
        void Refused<T>(string path, Func<object> read)
            where T : Exception
        {
            var e = Assert.Throws<InvalidInputException>(read);
            Assert.StartsWith($"{path} cannot be read: ", e.Message, StringComparison.Ordinal);
            Assert.IsType<T>(e.InnerException);
        }
        foreach (Func<string, object> read in (Func<string, object>[])[RegularFile.OpenHandle, RegularFile.OpenRead, path => RegularFile.ReadAllBytes(path, 1)])
        {
            Refused<FileNotFoundException>(folder.File("none"), () => read(folder.File("none")));
            Refused<DirectoryNotFoundException>(folder.File("none/none"), () => read(folder.File("none/none")));
            Refused<UnauthorizedAccessException>(folder.Path, () => read(folder.Path));
        }
    }

    [Theory]
    [InlineData("pipe")]
    [InlineData("socket")]
    [InlineData("/dev/zero")]
    [InlineData("/dev/random")]
    [InlineData("/dev/tty")]
    public async Task A_pipe_or_a_device_is_refused_without_waiting(string name)
    {
        if (OperatingSystem.IsWindows() || (name[0] == '/' && !File.Exists(name)))
            return;
        var path = Path.Combine(folder.Path, name);
        using var socket = new Socket(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
        if (name == "socket")
            socket.Bind(new UnixDomainSocketEndPoint(path));
        if (name == "pipe")
            MakePipe(path);
        File.CreateSymbolicLink(folder.File("link"), path);
        foreach (var place in (string[])[path, folder.File("link")])
        {
            foreach (var read in (Action[])[() => RegularFile.OpenHandle(place), () => RegularFile.OpenRead(place), () => RegularFile.ReadAllBytes(place, 1 << 20)])
            {
                Assert.Equal($"{place} is a pipe or a device, which has no length; give a regular file.", await RefusalOf(read, seconds: 10));
            }
        }
    }

    /// <summary>What a read is refused with, which must not wait for a writer that never comes.</summary>
    internal static async Task<string> RefusalOf(Action read, int seconds = 30) =>
        (await Assert.ThrowsAsync<InvalidInputException>(() => Task.Run(read)).WaitAsync(TimeSpan.FromSeconds(seconds))).Message;

    /// <summary>Makes a pipe that has a name.</summary>
    internal static void MakePipe(string path)
    {
        using var made = Process.Start("mkfifo", [path]);
        made.WaitForExit();
        Assert.Equal(0, made.ExitCode);
    }
}
