using TorchSharp;
using static TorchSharp.torch;

namespace Dpo.Native;

/// <summary>
/// Arithmetic of tensors with numbers that is safe beside other threads. Write a loss or a model of your own with these in place
/// of <c>x * 0.5</c>, <c>1 - x</c>, <c>x + y</c>, <c>x.square()</c> and the like.
/// </summary>
/// <remarks>
/// TorchSharp 0.107 turns the number into an object that owns native memory, and hands that memory to native code while nothing
/// holds the object any more. A garbage collection that another thread starts in that moment may free it first: the process then
/// dies of "Unknown scalar type", or computes with another number. The 1 in <c>x + y</c>, which is <c>x.add(y, alpha: 1)</c>, is
/// such a number too; <c>x - y</c>, <c>x * y</c> and <c>x / y</c> of tensors have none. Here every number is held until the call
/// has returned. A <see cref="Scalar"/> kept in a static field, or by <c>using</c>, is safe as well. Results belong to the
/// current dispose scope.
/// </remarks>
public static class HeldScalars
{
    private static readonly Scalar One = 1.ToScalar();
    private static readonly Scalar Two = 2.ToScalar();

    /// <summary>x + y, elementwise; shapes are broadcast.</summary>
    public static Tensor Plus(this Tensor x, Tensor y)
    {
        ArgumentNullException.ThrowIfNull(x);
        return x.add(y, One);
    }

    /// <summary>x + number.</summary>
    public static Tensor Plus(this Tensor x, double number) => Held(x, number, static (x, number) => x.add(number, One));

    /// <summary>x + number, which leaves integers integers.</summary>
    public static Tensor Plus(this Tensor x, long number) => Held(x, number, static (x, number) => x.add(number, One));

    /// <summary>x − number.</summary>
    public static Tensor Minus(this Tensor x, double number) => Held(x, number, static (x, number) => x.sub(number));

    /// <summary>x − number, which leaves integers integers.</summary>
    public static Tensor Minus(this Tensor x, long number) => Held(x, number, static (x, number) => x.sub(number));

    /// <summary>1 − x.</summary>
    public static Tensor OneMinus(this Tensor x)
    {
        ArgumentNullException.ThrowIfNull(x);
        return x.negative().add(One, One);
    }

    /// <summary>x · number.</summary>
    public static Tensor Times(this Tensor x, double number) => Held(x, number, static (x, number) => x.mul(number));

    /// <summary>x · number, which leaves integers integers.</summary>
    public static Tensor Times(this Tensor x, long number) => Held(x, number, static (x, number) => x.mul(number));

    /// <summary>x / number; of integers too the quotient is a fraction.</summary>
    public static Tensor DividedBy(this Tensor x, double number) => Held(x, number, static (x, number) => x.div(number));

    /// <summary>x².</summary>
    public static Tensor Squared(this Tensor x)
    {
        ArgumentNullException.ThrowIfNull(x);
        return x.pow(Two);
    }

    /// <summary>max(x, number).</summary>
    public static Tensor AtLeast(this Tensor x, double number) => Held(x, number, static (x, number) => x.clamp_min(number));

    /// <summary>min(x, number).</summary>
    public static Tensor AtMost(this Tensor x, double number) => Held(x, number, static (x, number) => x.clamp_max(number));

    /// <summary>x + y, in place of x.</summary>
    internal static Tensor AddInPlace(this Tensor x, Tensor y) => x.add_(y, One);

    /// <summary>x + number, in place of x.</summary>
    internal static Tensor AddInPlace(this Tensor x, double number) => Held(x, number, static (x, number) => x.add_(number, One));

    /// <summary>x + number, in place of x, which leaves integers integers.</summary>
    internal static Tensor AddInPlace(this Tensor x, long number) => Held(x, number, static (x, number) => x.add_(number, One));

    /// <summary>x · number, in place of x.</summary>
    internal static Tensor MultiplyInPlace(this Tensor x, double number) => Held(x, number, static (x, number) => x.mul_(number));

    /// <summary>x / number, in place of x.</summary>
    internal static Tensor DivideInPlace(this Tensor x, double number) => Held(x, number, static (x, number) => x.div_(number));

    /// <summary>Adds rows of <paramref name="source"/> to those of x that <paramref name="index"/> names, in place of
    /// x.</summary>
    internal static Tensor AddRowsInPlace(this Tensor x, Tensor index, Tensor source) => x.index_add_(0, index, source, One);

    /// <summary>Whether x &lt; number.</summary>
    internal static Tensor Below(this Tensor x, long number) => Held(x, number, static (x, number) => x.lt(number));

    /// <summary>x where <paramref name="mask"/> is false and the number where it is true.</summary>
    internal static Tensor Masked(this Tensor x, Tensor mask, double number)
    {
        using var scalar = number.ToScalar();
        return x.masked_fill(mask, scalar);
    }

    /// <summary>Writes one number everywhere.</summary>
    internal static Tensor FillInPlace(this Tensor x, double number) => Held(x, number, static (x, number) => x.fill_(number));

    /// <summary>0, 1, … up to <paramref name="count"/> − 1, int64.</summary>
    internal static Tensor Range(long count, Device device)
    {
        using var start = 0L.ToScalar();
        using var stop = count.ToScalar();
        return arange(start, stop, One, int64, device);
    }

    private static Tensor Held(Tensor x, double number, Func<Tensor, Scalar, Tensor> operation)
    {
        ArgumentNullException.ThrowIfNull(x);
        using var scalar = number.ToScalar();
        return operation(x, scalar);
    }

    private static Tensor Held(Tensor x, long number, Func<Tensor, Scalar, Tensor> operation)
    {
        ArgumentNullException.ThrowIfNull(x);
        using var scalar = number.ToScalar();
        return operation(x, scalar);
    }
}
