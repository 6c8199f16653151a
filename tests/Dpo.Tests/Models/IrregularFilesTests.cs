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
        Assert.Equal($"{folder.File(name)} {Problem}", await RegularFileTests.RefusalOf(() => CausalLanguageModel.Load(folder.Path)));
        File.Delete(folder.File(name));
        File.CreateSymbolicLink(folder.File(name), "/dev/zero");
        Assert.Equal($"{folder.File(name)} {Problem}", await RegularFileTests.RefusalOf(() => CausalLanguageModel.Load(folder.Path)));
    }

    [Fact]
    public async Task So_are_a_shard_an_adapter_and_a_reference_of_the_hub()
    {
        if (OperatingSystem.IsWindows())
            return;
        File.Copy(Fixture.Path("models", "gpt2", "config.json"), folder.File("config.json"));
        folder.Write("model.safetensors.index.json", """{"weight_map": {"a": "a.safetensors"}}""");
        RegularFileTests.MakePipe(folder.File("a.safetensors"));
        Assert.Equal($"{folder.File("a.safetensors")} {Problem}", await RegularFileTests.RefusalOf(() => CausalLanguageModel.Load(folder.Path)));

        using var model = CausalLanguageModel.Load(Fixture.Path("models", "gpt2"));
        File.Copy(Fixture.Path("adapters", "gpt2", "adapter_config.json"), folder.File("adapter_config.json"));
        RegularFileTests.MakePipe(folder.File("adapter_model.safetensors"));
        Assert.Equal($"{folder.File("adapter_model.safetensors")} {Problem}", await RegularFileTests.RefusalOf(() => model.LoadAdapter(folder.Path)));

        Directory.CreateDirectory(folder.File("models--gpt2/refs"));
        RegularFileTests.MakePipe(folder.File("models--gpt2/refs/main"));
        Assert.Equal($"{folder.File("models--gpt2/refs/main")} {Problem}", await RegularFileTests.RefusalOf(() => HubCache.Resolve("gpt2", _ => folder.Path)));
    }

    [Fact]
    public void Files_longer_than_any_are_refused_unread()
    {
        foreach (var file in Directory.GetFiles(Fixture.Path("models", "gpt2")))
            File.Copy(file, folder.File(Path.GetFileName(file)));
        folder.Write("neg/1.txt", "");
        folder.Write("pos/1.txt", "");
        folder.Write("models--gpt2/refs/main", "");
        Refused("models--gpt2/refs/main", 1000, () => HubCache.Resolve("gpt2", _ => folder.Path));
        Refused("neg/1.txt", 64 << 20, () => Assert.Empty(ReviewFile.Read(folder.Path, new DataReport())));
        Refused("LICENSE", 64 << 20, () => CausalLanguageModel.Load(folder.Path));
        Refused("chat_template.jinja", 64 << 20, () => TextTokenizer.Load(folder.Path));
        Refused("config.json", 16 << 20, () => CausalLanguageModel.Load(folder.Path));
    }

    private void Refused(string name, int most, Action read)
    {
        using (var file = File.Create(folder.File(name)))
            file.SetLength(most + 1);
        Assert.Equal(
            $"{folder.File(name)} has {most + 1} bytes; at most {most} are read of such a file.", Assert.Throws<InvalidInputException>(read).Message);
        File.Delete(folder.File(name));
    }
}
