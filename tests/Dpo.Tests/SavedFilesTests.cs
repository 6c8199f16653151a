namespace Dpo.Tests;

/// <summary>What a model folder has beside weights and tokenizer, and a saved model must have too.</summary>
public sealed class SavedFilesTests : IDisposable
{
    private readonly TemporaryFolder folder = new();

    public void Dispose() => folder.Dispose();

    [Theory]
    [InlineData("gpt2")]
    [InlineData("llama")]
    public void All_that_the_model_is_run_with_elsewhere_is_saved(string family)
    {
        Copy(family);
        string[] texts =
        [
            "chat_template.jinja", "chat_template.json", "additional_chat_templates/rag.jinja", "additional_chat_templates/tool_use.jinja", "tokenizer.model",
            "LICENSE", "LICENSE.txt", "licence.md", "NOTICE", "USE_POLICY.md", "COPYING", "special_tokens_map.json", "added_tokens.json",
        ];
        foreach (var name in texts)
            folder.Write($"model/{name}", name.EndsWith(".json", StringComparison.Ordinal) && !name.StartsWith("chat", StringComparison.Ordinal) ? "{}" : $"This is {name}.\n");
        folder.Write("model/README.md", "A card that says what the model was before.");
        folder.Write("model/training_args.bin", "Not the model's.");

        using (var model = CausalLanguageModel.Load(folder.File("model")))
        {
            var tokenizer = TextTokenizer.Load(folder.File("model"));
            var given = Directory.GetFiles(folder.File("model"), "*", SearchOption.AllDirectories).ToDictionary(Relative, File.ReadAllBytes);
            Directory.Delete(folder.File("model"), recursive: true); // nothing is read from there any more
            model.Save(folder.File("saved"));
            Assert.Equal(given["generation_config.json"], File.ReadAllBytes(folder.File("saved/generation_config.json")));
            tokenizer.Save(folder.File("saved"));
            var saved = Directory.GetFiles(folder.File("saved"), "*", SearchOption.AllDirectories).ToDictionary(Relative, File.ReadAllBytes);
            Assert.Equal(given.Keys.Except(["README.md", "training_args.bin"]).Order(StringComparer.Ordinal), saved.Keys.Order(StringComparer.Ordinal));
            foreach (var name in saved.Keys.Except(["config.json", "model.safetensors"]))
                Assert.Equal(given[name], saved[name]);
        }
        using var again = CausalLanguageModel.Load(folder.File("saved"));
        again.Save(folder.File("second"));
        Assert.Equal("This is LICENSE.\n", File.ReadAllText(folder.File("second/LICENSE")));
    }

    [Fact]
    public async Task A_pipe_among_them_is_refused_without_waiting()
    {
        if (OperatingSystem.IsWindows())
            return;
        Copy("gpt2");
        RegularFileTests.MakePipe(folder.File("model/LICENSE"));
        Assert.Equal(
            $"{folder.File("model/LICENSE")} is a pipe or a device, which has no length; give a regular file.",
            await RegularFileTests.RefusalOf(() => CausalLanguageModel.Load(folder.File("model"))));
        RegularFileTests.MakePipe(folder.File("model/chat_template.jinja"));
        Assert.Equal(
            $"{folder.File("model/chat_template.jinja")} is a pipe or a device, which has no length; give a regular file.",
            await RegularFileTests.RefusalOf(() => TextTokenizer.Load(folder.File("model"))));
    }

    [Fact]
    public void A_link_in_their_place_is_replaced_and_not_followed()
    {
        if (OperatingSystem.IsWindows())
            return; // lets only administrators make links
        Copy("gpt2");
        var victim = folder.Write("victim", "precious");
        Directory.CreateDirectory(folder.File("saved"));
        string[] names = ["LICENSE", "chat_template.jinja"];
        foreach (var name in names)
        {
            folder.Write($"model/{name}", $"This is {name}.\n");
            File.CreateSymbolicLink(folder.File($"saved/{name}"), victim);
        }
        using (var model = CausalLanguageModel.Load(folder.File("model")))
            model.Save(folder.File("saved"));
        TextTokenizer.Load(folder.File("model")).Save(folder.File("saved"));
        Assert.Equal("precious", File.ReadAllText(victim));
        Assert.All(names, name => Assert.Equal($"This is {name}.\n", File.ReadAllText(folder.File($"saved/{name}"))));
    }

    private void Copy(string family)
    {
        foreach (var file in Directory.GetFiles(Fixture.Path("models", family)).Where(file => Path.GetFileName(file) is not ("expected.json" or "config_v4.json")))
        {
            Directory.CreateDirectory(folder.File("model"));
            File.Copy(file, folder.File($"model/{Path.GetFileName(file)}"));
        }
    }

    private string Relative(string path) =>
        Path.GetRelativePath(folder.Path, path)[(Path.GetRelativePath(folder.Path, path).IndexOf(Path.DirectorySeparatorChar) + 1)..];
}
