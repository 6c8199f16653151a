namespace Dpo.Package.Tests;

/// <summary>
/// The library and the packages beside it, packed once under a version that no other run has, and projects outside the repository that
/// reference them.
/// </summary>
public sealed class PackedLibrary : IDisposable
{
    private readonly string version = $"0.1.0-test.{Guid.NewGuid():N}";
    private readonly string folder = Directory.CreateTempSubdirectory("dpo-package-").FullName;

    public PackedLibrary()
    {
        // The artifacts go elsewhere, so that the repository's own builds are left alone.
        foreach (var project in (string[])["src/Dpo", "src/Dpo.Parquet", "src/Dpo.Baselines", "src/Dpo.Evaluation"])
        {
            DotNet.Run(Repository, new Dictionary<string, string>(), "pack", project, "-c", "Release", "-o", Feed,
                "--artifacts-path", Path.Combine(folder, "artifacts"), $"-p:Version={version}").Succeeded();
        }
    }

    /// <summary>The repository's root folder.</summary>
    public static string Repository { get; } = FindRepository();

    /// <summary>The version of all packages.</summary>
    public string Version => version;

    /// <summary>The packed library.</summary>
    public string Package => PackageOf("Dpo");

    private string Feed => Path.Combine(folder, "feed");

    /// <summary>One of the packages.</summary>
    public string PackageOf(string name) => Path.Combine(Feed, $"{name}.{version}.nupkg");

    /// <summary>A fresh copy of the consumer's project.</summary>
    /// <param name="name">The name of its folder.</param>
    /// <param name="program">The folder of a program that takes the place of the consumer's own.</param>
    public Consumer CreateConsumer(string name, string? program = null)
    {
        var target = Directory.CreateDirectory(Path.Combine(folder, name)).FullName;
        foreach (var file in Directory.GetFiles(Path.Combine(AppContext.BaseDirectory, "Consumer")))
            File.Copy(file, Path.Combine(target, Path.GetFileName(file)));
        foreach (var file in program is null ? [] : Directory.GetFiles(Path.Combine(AppContext.BaseDirectory, program)))
            File.Copy(file, Path.Combine(target, Path.GetFileName(file)), overwrite: true);
        return new Consumer(target, new() { ["ConsumerDpoVersion"] = version, ["ConsumerFeed"] = Feed });
    }

    public void Dispose()
    {
        Directory.Delete(folder, recursive: true);
        var packages = Environment.GetEnvironmentVariable("NUGET_PACKAGES")
            ?? Path.Combine(Environment.GetFolderPath(Environment.SpecialFolder.UserProfile), ".nuget", "packages");
        foreach (var name in (string[])["dpo", "dpo.parquet", "dpo.baselines", "dpo.evaluation"])
        {
            var extracted = Path.Combine(packages, name, version);
            if (Directory.Exists(extracted))
                Directory.Delete(extracted, recursive: true);
        }
    }

    private static string FindRepository()
    {
        var candidate = new DirectoryInfo(AppContext.BaseDirectory);
        while (!File.Exists(Path.Combine(candidate.FullName, "Dpo.sln")))
            candidate = candidate.Parent ?? throw new DirectoryNotFoundException("The tests run outside the repository.");
        return candidate.FullName;
    }
}

/// <summary>A consumer's project folder, and the properties its project file takes from the environment.</summary>
public sealed record Consumer(string Folder, Dictionary<string, string> Environment)
{
    /// <summary>Runs <c>dotnet</c> in the project's folder.</summary>
    public Outcome DotNet(params string[] arguments) => Tests.DotNet.Run(Folder, Environment, arguments);

    /// <summary>Runs a program that the project was built or published as.</summary>
    public Outcome Start(params string[] path)
    {
        var program = Path.Combine([Folder, .. path]);
        return Tests.DotNet.Start(OperatingSystem.IsWindows() ? program + ".exe" : program, Folder, Environment);
    }
}
