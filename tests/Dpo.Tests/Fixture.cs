namespace Dpo.Tests;

/// <summary>Where the parity fixtures lie, and the data and models that only some checkouts have beside them.</summary>
internal static class Fixture
{
    /// <summary>The path of a file or folder under <c>tests/Fixtures</c>.</summary>
    public static string Path(params string[] parts) =>
        System.IO.Path.Combine([AppContext.BaseDirectory, "Fixtures", .. parts]);

    /// <summary>Why a test of files under <c>../shared</c> is skipped; null where all of them are there.</summary>
    public static string? Missing(IEnumerable<string> paths) =>
        paths.FirstOrDefault(path => Shared(path.Split('/')) is null) is { } missing ? $"../shared/{missing} does not lie beside this checkout." : null;

    /// <summary>The path of a file or folder under the checkout's <c>../shared</c>, or null where it is absent.</summary>
    public static string? Shared(params string[] parts)
    {
        for (var folder = new DirectoryInfo(AppContext.BaseDirectory); folder is not null; folder = folder.Parent)
        {
            if (!File.Exists(System.IO.Path.Combine(folder.FullName, "Dpo.sln")))
                continue;
            var path = System.IO.Path.Combine([folder.FullName, "..", "shared", .. parts]);
            return System.IO.Path.Exists(path) ? path : null;
        }
        return null;
    }
}
