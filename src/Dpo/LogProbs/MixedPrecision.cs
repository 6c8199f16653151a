using Dpo.Native;
using TorchSharp;
using static TorchSharp.torch;

namespace Dpo.LogProbs;

/// <summary>Operations from half precision to fp32 and back, without a pass over memory for the cast where libtorch can do
/// without: on CUDA, where a product of matrices in bf16 or fp16 has fp32 sums anyway, and leaves them as they are.</summary>
internal static class MixedPrecision
{
    /// <summary>What TorchSharp has no binding for, in TorchScript; 6 is fp32 in its numbers. The products are there for CUDA
    /// alone. The sum is a batch of one: of all such products only a batch's adds to what is fp32 in every version of libtorch
    /// that has them.</summary>
    internal const string Script =
        """
        def product(left: Tensor, right: Tensor) -> Tensor:
            return torch.mm(left, right, out_dtype=6)

        def add_product(sum: Tensor, left: Tensor, right: Tensor) -> Optional[Tensor]:
            batch = sum.unsqueeze(0)
            torch.baddbmm(batch, left.unsqueeze(0), right.unsqueeze(0), out_dtype=6, out=batch)
            return None

        def exponentials(x: Tensor, result: Tensor) -> Optional[Tensor]:
            torch.exp(x, out=result)
            return None

        """;

    private static readonly jit.CompilationUnit script = jit.compile(Script);

    /// <summary>left · right, in fp32; of fp32 factors, or of others of one type, whose product is rounded to that type on the
    /// CPU.</summary>
    public static Tensor Product(Tensor left, Tensor right) => KeepsSums(left)
        ? (Tensor)script.invoke("product", left, right)
        : left.mm(right).to(float32);

    /// <summary>sum += left · right, with an fp32 sum whatever the factors' type; the product itself adds where it can.</summary>
    public static void AddProduct(Tensor sum, Tensor left, Tensor right)
    {
        if (KeepsSums(left))
            script.invoke("add_product", sum, left, right);
        else if (left.dtype == sum.dtype)
            sum.addmm_(left, right, beta: 1, alpha: 1);
        else
            sum.AddInPlace(left.mm(right));
    }

    /// <summary>exp(x) in a type; x, which is fp32, may be overwritten.</summary>
    public static Tensor Exponentials(Tensor x, ScalarType dtype)
    {
        // The CPU's kernel would make an fp32 copy on the way.
        if (dtype == x.dtype || x.device_type == DeviceType.CPU)
            return x.exp_().to(dtype);
        var result = empty(x.shape, dtype, x.device);
        ExponentialsInto(x, result);
        return result;
    }

    /// <summary>Writes exp(x) into a tensor of another type.</summary>
    internal static void ExponentialsInto(Tensor x, Tensor result) => script.invoke("exponentials", x, result);

    private static bool KeepsSums(Tensor factor) =>
        factor.device_type == DeviceType.CUDA && factor.dtype is ScalarType.BFloat16 or ScalarType.Float16;
}
