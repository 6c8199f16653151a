using System.Runtime.InteropServices;
using System.Text.Json;
using static TorchSharp.torch;

namespace Dpo.Tests;

public class TrainedGpt2Tests
{
    /// <summary>A trained model whose logits another implementation recorded.</summary>
    [SharedFact("models/gpt-nano-sort")]
    public void Nano_sorts_logits_are_reproduced()
    {
        var folder = Fixture.Shared("models", "gpt-nano-sort")!;
        using var scope = NewDisposeScope();
        using var noGrad = no_grad();
        var stored = JsonDocument.Parse(File.ReadAllText(Path.Combine(folder, "gpt-nano-sort-model.json"))).RootElement;
        var partials = JsonDocument.Parse(File.ReadAllText(Path.Combine(folder, "gpt-nano-sort-t0-partials.json"))).RootElement;
        using var model = new Gpt2(new Gpt2Config
        {
            VocabularySize = 3,
            MaxPositions = 11,
            HiddenSize = 48,
            LayerCount = 3,
            HeadCount = 3,
            TieWordEmbeddings = false,
        });
        foreach (var (name, parameter) in model.named_parameters())
        {
            var values = Read(stored.GetProperty(name));
            // Its linear layers are stored [out, in].
            parameter.copy_(name.Contains(".c_", StringComparison.Ordinal) && values.dim() == 2 ? values.t() : values);
        }
        var ids = Read(partials.GetProperty("idx")).to(int64);
        var expected = Read(partials.GetProperty("lm_head"));

        var sequences = Enumerable.Repeat(new ExampleLengths((int)ids.shape[1], []), (int)ids.shape[0]);
        var hidden = model.call(ids.flatten(), new SequenceLayout([.. sequences]));

        Numbers.AssertClose(expected.flatten().ToDoubles(), model.Head.Logits(hidden).flatten().ToDoubles(), 1e-5, "logits");
    }

    private static Tensor Read(JsonElement stored)
    {
        var bytes = stored.GetProperty("data").GetBytesFromBase64();
        var shape = stored.GetProperty("shape").EnumerateArray().Select(size => size.GetInt64()).ToArray();
        return tensor(MemoryMarshal.Cast<byte, float>(bytes).ToArray()).view(shape);
    }
}
