using System.Text.Json.Nodes;
using CsCheck;

namespace Dpo.Tests;

public class ModelConfigFuzzTests
{
    [Theory]
    [InlineData("config.json")]
    [InlineData("config_v4.json")]
    public void Damaged_configurations_are_refused_by_name_or_describe_a_model(string config)
    {
        using var parent = new TemporaryFolder();
        var valid = JsonNode.Parse(File.ReadAllText(Fixture.Path("models", "gpt2", config)))!;
        var weights = Fixture.Path("models", "gpt2", "model.safetensors");
        var (refused, loaded) = (0, 0);
        JsonDamage.Of(valid).Sample(
            json =>
            {
                var folder = parent.File(Guid.NewGuid().ToString("N"));
                parent.Write(Path.Combine(folder, "config.json"), json);
                File.CreateSymbolicLink(Path.Combine(folder, "model.safetensors"), weights);
                try
                {
                    using var model = CausalLanguageModel.Load(folder);
                    Interlocked.Increment(ref loaded);
                }
                catch (InvalidInputException e)
                {
                    Assert.StartsWith(folder, e.Message, StringComparison.Ordinal);
                    Interlocked.Increment(ref refused);
                }
                Directory.Delete(folder, recursive: true);
            },
            iter: 200, threads: 1);
        Assert.True(refused > 50 && loaded > 10, $"{refused} refused, {loaded} loaded");
    }
}
