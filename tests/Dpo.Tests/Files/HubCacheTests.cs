namespace Dpo.Tests;

public sealed class HubCacheTests : IDisposable
{
    private const string Commit = "0123456789abcdef0123456789abcdef01234567";

    private readonly TemporaryFolder folder = new();

    public void Dispose() => folder.Dispose();

    [Theory]
    [InlineData("HF_HUB_CACHE", "")]
    [InlineData("HF_HOME", "hub")]
    [InlineData("XDG_CACHE_HOME", "huggingface/hub")]
    public void A_name_is_found_where_its_tools_download_to(string variable, string below)
    {
        string Resolve(string model) => HubCache.Resolve(model, name => name == variable ? folder.Path : name == "HF_HOME" ? "" : null);
        var snapshot = Download(below, "models--org--a.model-1");
        Assert.Equal(snapshot, Resolve("org/a.model-1"));
        Assert.Equal(Download(below, "models--gpt2"), Resolve("gpt2"));
    }

    [Fact]
    public void A_missing_model_says_how_to_download_it()
    {
        Assert.Equal(
            $"org/model: there is no such folder, and the Hugging Face cache {folder.Path} holds no such model; give a model folder, or " +
            "download the model with `hf download org/model`.",
            Refusal("org/model"));

        // A reference without its snapshot, and one that leads out of the cache.
        folder.Write("models--org--model/refs/main", Commit);
        Assert.Contains("`hf download org/model`", Refusal("org/model"), StringComparison.Ordinal);
        folder.Write("models--org--model/refs/main", "../../..");
        Directory.CreateDirectory(folder.File("models--org--model/snapshots"));
        Assert.Contains("`hf download org/model`", Refusal("org/model"), StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("/models/org")]
    [InlineData("./model")]
    [InlineData("../model")]
    [InlineData("a/b/c")]
    [InlineData("org/")]
    [InlineData("org/.hidden")]
    [InlineData("two words")]
    [InlineData("C:\\models")]
    public void What_can_only_be_a_folder_is_left_as_it_is(string model) => Assert.Equal(model, Resolve(model));

    [Fact]
    public void A_folder_of_that_name_wins()
    {
        Directory.CreateDirectory("hub-cache-tests");
        Download("", "models--hub-cache-tests");
        Assert.Equal("hub-cache-tests", Resolve("hub-cache-tests"));
        Directory.Delete("hub-cache-tests");
        Assert.NotEqual("hub-cache-tests", Resolve("hub-cache-tests"));
    }

    [Fact]
    public void Models_tokenizers_and_pairs_load_by_name()
    {
        var snapshot = Download("", "models--dpo-tests--gpt2");
        foreach (var file in Directory.GetFiles(Fixture.Path("models", "gpt2")))
            File.Copy(file, Path.Combine(snapshot, Path.GetFileName(file)));
        var before = Environment.GetEnvironmentVariable("HF_HUB_CACHE");
        // Read for names on the hub only, which no other test gives.
        Environment.SetEnvironmentVariable("HF_HUB_CACHE", folder.Path);
        try
        {
            Assert.Equal([41, 70, 267, 80], TextTokenizer.Load("dpo-tests/gpt2").Encode("Hello"));
            using var pair = PolicyReferencePair.Load("dpo-tests/gpt2");
            Assert.IsType<Gpt2>(pair.Policy);
        }
        finally
        {
            Environment.SetEnvironmentVariable("HF_HUB_CACHE", before);
        }
    }

    private string Download(string below, string name)
    {
        folder.Write(Path.Combine(below, name, "refs", "main"), Commit + "\n");
        return Directory.CreateDirectory(folder.File(Path.Combine(below, name, "snapshots", Commit))).FullName;
    }

    private string Resolve(string model) => HubCache.Resolve(model, name => name == "HF_HUB_CACHE" ? folder.Path : null);

    private string Refusal(string model) => Assert.Throws<InvalidInputException>(() => Resolve(model)).Message;
}
