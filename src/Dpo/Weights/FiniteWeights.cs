using static TorchSharp.torch;

namespace Dpo.Weights;

/// <summary>Weights that are all numbers, which is what a file of weights must hold: one that does not is of no use, and looks
/// like one that is.</summary>
internal static class FiniteWeights
{
    private const int Listed = 3;

    /// <summary>Bounds what looking at a weight allocates: a truth value an element.</summary>
    private const long PieceElements = 1 << 24;

    /// <summary>Refuses weights of which one is NaN or infinite.</summary>
    /// <param name="weights">Them by name, on any device.</param>
    /// <param name="what">What is not done with them, as the message's beginning: <c>The model was not written to
    /// out</c>.</param>
    /// <exception cref="NotFiniteNumberException">One is not finite; the message names some that are not.</exception>
    public static void Require(IEnumerable<(string Name, Tensor Tensor)> weights, string what)
    {
        string[] broken = [.. weights.Where(named => !IsFinite(named.Tensor)).Select(named => named.Name)];
        if (broken.Length > 0)
            throw new NotFiniteNumberException(
                $"{what}, because weights are not finite: {string.Join(", ", broken.Take(Listed))}"
                + (broken.Length > Listed ? $" and {broken.Length - Listed} more." : "."));
    }

    private static bool IsFinite(Tensor tensor)
    {
        if (!tensor.is_floating_point())
            return true;
        using var noGradients = no_grad();
        var finite = true;
        TensorPieces.ForEach(tensor, PieceElements, piece => finite = finite && piece.isfinite().all().item<bool>());
        return finite;
    }
}
