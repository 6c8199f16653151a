namespace Dpo.Tests;

/// <summary>Pipes and devices where a model folder has files.</summary>
public sealed class IrregularFilesTests : IDisposable
{
    private const string Problem = "is a pipe or a device, which has no length; give a regular file.";

    private readonly TemporaryFolder folder = new();

    public void Dispose() => folder.Dispose();

    public static TheoryData<string, string> Places => new()
    {
        { "config.json", "" },
        { "model.safetensors", "config.json" },
        { "model.safetensors.index.json", "config.json" },
        { "pytorch_model.bin", "config.json" },
        { "pytorch_model.bin.index.json", "config.json" },
    };

    [Theory]
    [MemberData(nameof(Places))]
    public async Task A_model_folder_is_refused_without_waiting(string name, string regular)
    {
        if (OperatingSystem.IsWindows())
            return;
        if (regular.Length > 0)
            File.Copy(Fixture.Path("models", "gpt2", regular), folder.File(regular));
        RegularFileTests.MakePipe(folder.File(name));
        Assert.Equal($"{folder.File(name)} {Problem}", await RefusalOf(() => CausalLanguageModel.Load(folder.Path)));
        File.Delete(folder.File(name));
        File.CreateSymbolicLink(folder.File(name), "/dev/zero");
        Assert.Equal($"{folder.File(name)} {Problem}", await RefusalOf(() => CausalLanguageModel.Load(folder.Path)));
    }

    [Fact]
    public async Task So_are_a_shard_an_adapter_and_a_reference_of_the_hub()
    {
        if (OperatingSystem.IsWindows())
            return;
        File.Copy(Fixture.Path("models", "gpt2", "config.json"), folder.File("config.json"));
        folder.Write("model.safetensors.index.json", """{"weight_map": {"a": "a.safetensors"}}""");
        RegularFileTests.MakePipe(folder.File("a.safetensors"));
        Assert.Equal($"{folder.File("a.safetensors")} {Problem}", await RefusalOf(() => CausalLanguageModel.Load(folder.Path)));

        using var model = CausalLanguageModel.Load(Fixture.Path("models", "gpt2"));
        File.Copy(Fixture.Path("adapters", "gpt2", "adapter_config.json"), folder.File("adapter_config.json"));
        RegularFileTests.MakePipe(folder.File("adapter_model.safetensors"));
        Assert.Equal($"{folder.File("adapter_model.safetensors")} {Problem}", await RefusalOf(() => model.LoadAdapter(folder.Path)));

        Directory.CreateDirectory(folder.File("models--gpt2/refs"));
        RegularFileTests.MakePipe(folder.File("models--gpt2/refs/main"));
        Assert.Equal($"{folder.File("models--gpt2/refs/main")} {Problem}", await RefusalOf(() => HubCache.Resolve("gpt2", _ => folder.Path)));
    }

    private static async Task<string> RefusalOf(Action read) =>
        (await Assert.ThrowsAsync<InvalidInputException>(() => Task.Run(read)).WaitAsync(TimeSpan.FromSeconds(30))).Message;
}
