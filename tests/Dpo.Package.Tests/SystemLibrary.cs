using System.Runtime.InteropServices;
using System.Text;

namespace Dpo.Package.Tests;

/// <summary>Looks into the shared libraries of a Linux system.</summary>
internal static class SystemLibrary
{
    /// <summary>Whether the library that the system's loader finds under a name has a string in it.</summary>
    public static bool Contains(string name, string text)
    {
        NativeLibrary.Load(name);
        var mapped = File.ReadLines("/proc/self/maps").First(line => line.Contains('/' + name, StringComparison.Ordinal));
        return File.ReadAllBytes(mapped[mapped.IndexOf('/')..]).AsSpan().IndexOf(Encoding.ASCII.GetBytes(text + "\0")) >= 0;
    }
}
