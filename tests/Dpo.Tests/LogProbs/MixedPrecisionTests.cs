using static TorchSharp.torch;

namespace Dpo.Tests;

public class MixedPrecisionTests
{
    /// <summary>Whole numbers, whose products and sums are exact in fp32, and in bf16 only up to 256.</summary>
    private static Tensor Whole(long rows, long columns, ScalarType type) => randint(-9, 10, [rows, columns], generator: new Generator((ulong)rows)).to(type);

    [Fact]
    public void Products_of_fp32_are_added_as_they_are()
    {
        using var scope = NewDisposeScope();
        var (left, right, sum) = (Whole(5, 40, float32), Whole(40, 3, float32), Whole(5, 3, float32));
        var expected = left.to(float64).mm(right.to(float64));
        Assert.Equal(expected.ToDoubles(), MixedPrecision.Product(left, right).ToDoubles());
        expected += sum;
        MixedPrecision.AddProduct(sum, left, right);
        Assert.Equal(expected.ToDoubles(), sum.ToDoubles());
    }

    [Fact]
    public void Products_of_bf16_are_rounded_on_the_CPU_and_their_sum_is_not()
    {
        using var scope = NewDisposeScope();
        var (left, right, sum) = (Whole(5, 400, bfloat16), Whole(400, 3, bfloat16), full([5, 3], 100_001, float32, CPU));
        var expected = left.to(float32).mm(right.to(float32)).to(bfloat16).to(float32);
        var product = MixedPrecision.Product(left, right);
        Assert.Equal(float32, product.dtype);
        Assert.Equal(expected.ToDoubles(), product.ToDoubles());
        MixedPrecision.AddProduct(sum, left, right);
        Assert.Equal((expected + 100_001).ToDoubles(), sum.ToDoubles());
    }

    /// <summary>What runs on CUDA alone is compiled here, and called: libtorch finds the operators, and has them for CUDA only.</summary>
    [Theory]
    [InlineData("product", "aten::mm.dtype'")]
    [InlineData("add_product", "aten::baddbmm.dtype_out'")]
    public void The_CUDA_products_are_libtorchs(string function, string operation)
    {
        using var scope = NewDisposeScope();
        var (left, right, sum) = (Whole(5, 40, bfloat16), Whole(40, 3, bfloat16), Whole(5, 3, float32));
        var script = jit.compile(MixedPrecision.Script);
        Tensor[] arguments = function == "product" ? [left, right] : [sum, left, right];
        var message = Assert.ThrowsAny<Exception>(() => script.invoke(function, arguments)).Message;
        Assert.Contains($"Could not run '{operation} with arguments from the 'CPU' backend", message);
    }

    [Theory]
    [InlineData(ScalarType.Float32)]
    [InlineData(ScalarType.BFloat16)]
    public void Exponentials_are_rounded_once(ScalarType type)
    {
        using var scope = NewDisposeScope();
        var x = randn([7, 65], generator: new Generator(3)).mul(20).sub(30);
        x[0, 0] = float.NegativeInfinity;
        var expected = x.exp().to(type).ToDoubles();
        var written = empty([7, 65], type);
        MixedPrecision.ExponentialsInto(x, written);
        Assert.Equal(expected, written.ToDoubles());
        var actual = MixedPrecision.Exponentials(x, type);
        Assert.Equal(type, actual.dtype);
        Assert.Equal(expected, actual.ToDoubles());
    }

    [Fact]
    public void Nothing_is_left_behind() => TensorCount.AssertFlat(() =>
    {
        using var scope = NewDisposeScope();
        var x = randn(4, 4);
        MixedPrecision.ExponentialsInto(x, empty([4, 4], bfloat16));
    });
}
