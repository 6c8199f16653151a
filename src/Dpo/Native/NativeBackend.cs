using System.Diagnostics;
using System.Diagnostics.CodeAnalysis;
using System.Reflection;
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using System.Runtime.Loader;
using System.Text.RegularExpressions;
using TorchSharp;

namespace Dpo.Native;

/// <summary>Says what is missing where TorchSharp's native library cannot be loaded, and what to do about it.</summary>
/// <remarks>
/// TorchSharp finds and loads its library by itself; .NET asks here only when that has failed. TorchSharp would then copy
/// half a gigabyte out of the package cache and speak of missing packages, whatever the cause. That is left to it where the
/// program does not carry the library at all, as in notebooks, where the copy is what makes it work. TorchSharp's first native
/// call comes from a static constructor, so programs see a <see cref="TypeInitializationException"/> around the message.
/// </remarks>
internal static partial class NativeBackend
{
    [ModuleInitializer]
    [SuppressMessage("Usage", "CA2255", Justification = "Nothing else runs before a program's first call into TorchSharp.")]
    internal static void Watch() =>
        AssemblyLoadContext.GetLoadContext(typeof(NativeBackend).Assembly)!.ResolvingUnmanagedDll += OnUnresolved;

    private static IntPtr OnUnresolved(Assembly assembly, string name)
    {
        if (name != "LibTorchSharp" || assembly.GetName().Name != "TorchSharp" || Find(name) is not { } library)
            return IntPtr.Zero;
        try
        {
            return NativeLibrary.Load(library);
        }
        catch (Exception e) when (e is DllNotFoundException or BadImageFormatException)
        {
            // TorchSharp's attempt to load swallows what is thrown here, so it is told to go on; the native call that it wanted
            // the library for then comes here directly, and the program sees the exception. Either may come first, and .NET says
            // which it is by the stack alone; an import resolver is asked for native calls only, but an assembly has room for
            // one, which is the program's.
            if (new StackTrace().GetFrames().Any(frame => frame.GetMethod()?.DeclaringType == typeof(NativeLibrary)))
                return NativeLibrary.GetMainProgramHandle();
            throw new DllNotFoundException(Explain(e.Message, hasLibTorch: Find("torch") is not null));
        }
    }

    /// <summary>Refuses a device that this program or machine does not have, before anything is loaded for it.</summary>
    internal static void Require(torch.Device device)
    {
        try
        {
            using var probe = torch.empty([1], dtype: torch.ScalarType.Float32, device: device);
        }
        catch (Exception e) when (e is ExternalException or InvalidOperationException or NotSupportedException)
        {
            throw new InvalidInputException(device.type == DeviceType.CUDA
                ? $"The device {device} cannot be used: the program carries LibTorch for the CPU alone, or the machine has no " +
                    "such NVIDIA GPU; reference TorchSharp-cuda-linux or TorchSharp-cuda-windows instead of TorchSharp-cpu " +
                    "on a machine with one, or take the CPU."
                : $"The device {device} cannot be used on this machine; take the CPU.", e);
        }
    }

    /// <summary>The message for a program whose native library the system's loader refused with the given words.</summary>
    internal static string Explain(string loaderMessage, bool hasLibTorch)
    {
        if (!hasLibTorch)
        {
            return "TorchSharp needs LibTorch, which this program does not carry: add a reference to the NuGet package " +
                "TorchSharp-cpu, or on a machine with an NVIDIA GPU to TorchSharp-cuda-linux or TorchSharp-cuda-windows, " +
                "in the version of TorchSharp.";
        }
        if (MissingVersion().Match(loaderMessage) is { Success: true } missing)
        {
            var version = missing.Groups["version"].Value;
            var remedy = version == "GLIBCXX_3.4.32"
                ? "build it with the targets of the package Dpo, which lift this need (DpoWeakenGlibcxx must not be false), " +
                  "or run it on a distribution with GCC 13 or newer, such as Debian 13 or Ubuntu 24.04."
                : "run it on a newer distribution.";
            return $"TorchSharp's native library needs the symbol version {version}, which " +
                $"{missing.Groups["library"].Value} on this system lacks, so this program cannot start LibTorch: {remedy}";
        }
        return $"TorchSharp's native library cannot be loaded: {loaderMessage}";
    }

    /// <summary>The path of a native library among those the program carries, or null.</summary>
    private static string? Find(string name)
    {
        var file = OperatingSystem.IsWindows() ? $"{name}.dll" : OperatingSystem.IsMacOS() ? $"lib{name}.dylib" : $"lib{name}.so";
        var folders = AppContext.GetData("NATIVE_DLL_SEARCH_DIRECTORIES") as string ?? "";
        return folders.Split(Path.PathSeparator, StringSplitOptions.RemoveEmptyEntries).Append(AppContext.BaseDirectory)
            .Select(folder => Path.Combine(folder, file)).FirstOrDefault(File.Exists);
    }

    [GeneratedRegex(@"(?<library>\S+): version [`'](?<version>[^'`]+)' not found")]
    private static partial Regex MissingVersion();
}
