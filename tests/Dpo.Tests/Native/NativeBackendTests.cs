namespace Dpo.Tests;

public class NativeBackendTests
{
    private const string Loader = "Unable to load shared library '/app/libLibTorchSharp.so' or one of its dependencies.\n";

    [Fact]
    public void A_missing_symbol_version_is_named_with_the_library_that_lacks_it()
    {
        var message = NativeBackend.Explain(
            Loader + "/lib/x86_64-linux-gnu/libstdc++.so.6: version `GLIBCXX_3.4.32' not found (required by /app/libLibTorchSharp.so)\n",
            hasLibTorch: true);

        Assert.Equal(
            "TorchSharp's native library needs the symbol version GLIBCXX_3.4.32, which /lib/x86_64-linux-gnu/libstdc++.so.6 on this " +
            "system lacks, so this program cannot start LibTorch: build it with the targets of the package Dpo, which lift this need " +
            "(DpoWeakenGlibcxx must not be false), or run it on a distribution with GCC 13 or newer, such as Debian 13 or Ubuntu 24.04.",
            message);
    }

    [Fact]
    public void A_version_that_the_targets_do_not_lift_asks_for_a_newer_distribution()
    {
        var message = NativeBackend.Explain(
            Loader + "/lib/x86_64-linux-gnu/libc.so.6: version `GLIBC_2.34' not found (required by /app/libLibTorchSharp.so)\n",
            hasLibTorch: true);

        Assert.Equal(
            "TorchSharp's native library needs the symbol version GLIBC_2.34, which /lib/x86_64-linux-gnu/libc.so.6 on this system " +
            "lacks, so this program cannot start LibTorch: run it on a newer distribution.",
            message);
    }

    [Fact]
    public void A_program_without_a_backend_is_told_which_packages_there_are()
    {
        var message = NativeBackend.Explain(Loader + "libtorch.so: cannot open shared object file", hasLibTorch: false);

        Assert.Equal(
            "TorchSharp needs LibTorch, which this program does not carry: add a reference to the NuGet package TorchSharp-cpu, or on a " +
            "machine with an NVIDIA GPU to TorchSharp-cuda-linux or TorchSharp-cuda-windows, in the version of TorchSharp.",
            message);
    }

    [Fact]
    public void Any_other_failure_is_told_in_the_loaders_words() =>
        Assert.Equal(
            "TorchSharp's native library cannot be loaded: libgomp.so.1: cannot open shared object file",
            NativeBackend.Explain("libgomp.so.1: cannot open shared object file", hasLibTorch: true));
}
