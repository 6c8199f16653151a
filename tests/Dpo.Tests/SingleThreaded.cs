using System.Runtime.CompilerServices;
using static TorchSharp.torch;

namespace Dpo.Tests;

/// <summary>The models of these tests are so small that threads only wait for each other; test classes run side by side.</summary>
internal static class SingleThreaded
{
    [ModuleInitializer]
    internal static void Set() => set_num_threads(1);
}
