using static TorchSharp.torch;

namespace Dpo.Tests;

public class SamplerTests
{
    private static Gpt2 Model() => new(new Gpt2Config { VocabularySize = 5, MaxPositions = 12, HiddenSize = 8, LayerCount = 2, HeadCount = 2 }, seed: 2);

    [Fact]
    public void Draws_follow_the_models_distribution_at_the_temperature()
    {
        using var scope = NewDisposeScope();
        using var model = Model();
        using var noGrad = no_grad();
        foreach (var parameter in model.parameters().Where(parameter => parameter.dim() > 1))
            parameter.mul_(12);
        const int draws = 20000;
        var sampled = Sampler.Sample(model, [.. Enumerable.Repeat((int[])[1, 2], draws)], 1, endOfTextId: null, temperature: 2, seed: 7);

        var logits = model.Head.Logits(model.call(tensor(new[] { 1L, 2L }), new SequenceLayout([new(2, [])])))[1];
        var expected = (logits / 2).softmax(0).ToDoubles();
        Assert.True(expected.Max() - expected.Min() > 0.1, "The model is too flat to tell temperatures apart.");
        for (var id = 0; id < 5; id++)
            Assert.InRange(sampled.Count(completion => completion[0] == id) / (double)draws, expected[id] - 0.02, expected[id] + 0.02);
    }

    [Fact]
    public void Completions_end_with_the_end_of_text_or_at_the_limit()
    {
        using var model = Model();
        var sampled = Sampler.Sample(model, [.. Enumerable.Repeat((int[])[1], 60), [1, 2, 3]], 9, endOfTextId: 0, seed: 1);
        Assert.All(sampled, completion => Assert.DoesNotContain(0, completion.SkipLast(1)));
        Assert.All(sampled.Where(completion => completion.Count < 9), completion => Assert.Equal(0, completion[^1]));
        Assert.Contains(sampled, completion => completion.Count < 9);
        Assert.Contains(sampled, completion => completion.Count == 9 && completion[^1] != 0);
    }

    [Fact]
    public void The_seed_decides()
    {
        using var model = Model();
        int[][] prompts = [[1, 2, 3], [4], [2, 2]];
        var first = Sampler.Sample(model, prompts, 8, endOfTextId: null, seed: 5);
        Assert.Equal(first, Sampler.Sample(model, prompts, 8, endOfTextId: null, seed: 5));
        Assert.NotEqual(first, Sampler.Sample(model, prompts, 8, endOfTextId: null, seed: 6));
    }

    [Fact]
    public void Prompts_that_cannot_be_continued_are_refused()
    {
        using var model = Model();
        Assert.Throws<ArgumentException>(() => Sampler.Sample(model, [[1], []], 3, null));
        Assert.Throws<ArgumentException>(() => Sampler.Sample(model, [[1, 2, 3, 4]], 9, null));
    }
}
