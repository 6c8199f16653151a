using Dpo.Tests;

namespace Dpo.Samples.Tests;

public class PreferencesTests
{
    [Fact]
    public void Parquet_files_and_folders_of_them_are_read_like_lines()
    {
        var summary = Assert.Single(Preferences.Read(Fixture.Path("parquet", "comparisons.parquet"), "training", null)!);
        Assert.Equal([" It sat.", " It stood."], summary.Completions);
        using var folder = new TemporaryFolder();
        File.Copy(Fixture.Path("parquet", "unpaired.parquet"), folder.File("train.parquet"));
        Assert.Equal(2, Preferences.Read(folder.Path, "training", null)!.Count);
        Assert.Null(Preferences.Read(null, "training", null));
    }
}
