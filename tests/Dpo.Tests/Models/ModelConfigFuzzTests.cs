using System.Text.Json.Nodes;
using CsCheck;

namespace Dpo.Tests;

public class ModelConfigFuzzTests
{
    [Theory]
    [MemberData(nameof(Architectures.FoldersAndConfigs), MemberType = typeof(Architectures))]
    public void Damaged_configurations_are_refused_by_name_or_describe_a_model(string source, string config) =>
        AssertRefusedOrLoaded(source, config, path => CausalLanguageModel.Load(path));

    [Fact]
    public void Damaged_configurations_of_a_classifier_are_refused_by_name_or_describe_one() =>
        AssertRefusedOrLoaded("roberta", "config.json", path => RobertaClassifier.Load(path));

    private static void AssertRefusedOrLoaded(string source, string config, Func<string, IDisposable> load)
    {
        using var parent = new TemporaryFolder();
        var valid = JsonNode.Parse(File.ReadAllText(Fixture.Path("models", source, config)))!;
        string[] others = [.. Directory.GetFiles(Fixture.Path("models", source)).Where(file => !Path.GetFileName(file).StartsWith("config", StringComparison.Ordinal))];
        var (refused, loaded) = (0, 0);
        JsonDamage.Of(valid).Sample(
            json =>
            {
                var folder = parent.File(Guid.NewGuid().ToString("N"));
                parent.Write(Path.Combine(folder, "config.json"), json);
                foreach (var file in others)
                    File.CreateSymbolicLink(Path.Combine(folder, Path.GetFileName(file)), file);
                try
                {
                    load(folder).Dispose();
                    Interlocked.Increment(ref loaded);
                }
                catch (InvalidInputException e)
                {
                    Assert.StartsWith(folder, e.Message, StringComparison.Ordinal);
                    Interlocked.Increment(ref refused);
                }
                Directory.Delete(folder, recursive: true);
            },
            iter: 100, threads: 1);
        Assert.True(refused > 5 && loaded > 5, $"{refused} refused, {loaded} loaded");
    }
}
