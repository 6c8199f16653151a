namespace Dpo.Tests;

public sealed class AtomicFileTests : IDisposable
{
    private readonly TemporaryFolder folder = new();
    private readonly PolicyReferencePair pair = new(new Gpt2(TrainerTests.Shape, seed: 5));

    public void Dispose()
    {
        AtomicFile.Through = null;
        pair.Dispose();
        folder.Dispose();
    }

    /// <summary>Wherever the disk is full, what lay there before is untouched and nothing lies beside it.</summary>
    [Theory]
    [InlineData("train.tokens")]
    [InlineData("reference.safetensors")]
    [InlineData("model.safetensors")]
    public void A_full_disk_leaves_the_file_before(string name)
    {
        var path = folder.File(name);
        Write(name, seed: 1);
        var before = File.ReadAllBytes(path);
        var files = Directory.GetFileSystemEntries(folder.Path);
        foreach (var quota in (long[])[0, 1, before.Length / 2, before.Length - 1])
        {
            var left = quota;
            AtomicFile.Through = stream => new QuotaStream(stream, written => left -= written, () => left);
            Assert.Equal("No space left on device.", Assert.Throws<IOException>(() => Write(name, seed: 2)).Message);
            Assert.Equal(before, File.ReadAllBytes(path));
            Assert.Equal(files, Directory.GetFileSystemEntries(folder.Path));
        }

        AtomicFile.Through = null;
        Write(name, seed: 2);
        Assert.NotEqual(before, File.ReadAllBytes(path));
    }

    private void Write(string name, int seed)
    {
        var data = TrainerTests.Data(5, seed);
        switch (name)
        {
            case "train.tokens":
                PreferenceData.Write(folder.File(name), data.Examples);
                break;
            case "reference.safetensors":
                ReferenceLogProbs.LoadOrCompute(folder.File(name), pair, data);
                break;
            default:
                using (var model = new Gpt2(TrainerTests.Shape, seed))
                    model.Save(folder.Path);
                break;
        }
    }
}
