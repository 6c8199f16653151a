using static TorchSharp.torch;

namespace Dpo.Tests;

[Collection(nameof(BackwardFailures))]
public class EmbeddingTableTests
{
    private const int Vocabulary = 7, Width = 5;
    private static readonly long[] Ids = [3, 0, 3, 6, 3];

    private static EmbeddingTable Create()
    {
        var embedding = new EmbeddingTable(Vocabulary, Width);
        using var noGrad = no_grad();
        embedding.Weight.normal_(generator: new Generator(1));
        return embedding;
    }

    [Fact]
    public void Gives_the_vectors_of_the_ids()
    {
        using var scope = NewDisposeScope();
        using var embedding = Create();
        var expected = Ids.SelectMany(id => embedding.Weight[id].ToDoubles()).ToArray();
        Assert.Equal(expected, embedding.call(tensor(Ids)).ToDoubles());
        using var noGrad = no_grad();
        Assert.Equal(expected, embedding.call(tensor(Ids)).ToDoubles());
    }

    [Fact]
    public void A_tied_weight_gets_the_gradient_of_both_of_its_uses_in_every_pass()
    {
        using var scope = NewDisposeScope();
        using var embedding = Create();
        var scale = randn([Ids.Length, Width], generator: new Generator(2));
        Tensor Loss(Tensor vectors) => (vectors * scale).sum() + vectors.mm(embedding.Weight.t()).square().sum();

        for (var pass = 0; pass < 2; pass++)
            Loss(nn.functional.linear(nn.functional.one_hot(tensor(Ids), Vocabulary).to(float32), embedding.Weight.t())).backward();
        var expected = embedding.Weight.grad!.clone().flatten().ToDoubles();

        embedding.zero_grad();
        for (var pass = 0; pass < 2; pass++)
            Loss(embedding.call(tensor(Ids))).backward();
        Numbers.AssertClose(expected, embedding.Weight.grad!.flatten().ToDoubles(), 1e-5, "gradient");
    }

    [Fact]
    public void A_frozen_weight_gets_no_gradient()
    {
        using var scope = NewDisposeScope();
        using var embedding = Create();
        embedding.Weight.requires_grad = false;
        Assert.False(embedding.call(tensor(Ids)).requires_grad);
    }

    [Fact]
    public void What_fails_in_the_backward_pass_is_thrown_after_it()
    {
        using var scope = NewDisposeScope();
        using var embedding = Create();
        var vectors = embedding.call(tensor(Ids));
        using (no_grad())
            embedding.Weight.set_(ones(2, Width)); // too few rows for the ids
        vectors.sum().backward();
        Assert.ThrowsAny<Exception>(BackwardFailure.Rethrow);
    }
}
