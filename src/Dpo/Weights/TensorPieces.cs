using static TorchSharp.torch;

namespace Dpo.Weights;

/// <summary>Walks a tensor in pieces of bounded size, so that files are read and written without a second copy of it.</summary>
internal static class TensorPieces
{
    /// <summary>The largest piece, in bytes.</summary>
    public const int MaximumBytes = 4 << 20;

    /// <summary>
    /// Calls <paramref name="action"/> with views that together are <paramref name="tensor"/>, in the order of its elements,
    /// each of at most <paramref name="maximumElements"/>; the tensor need not be contiguous. Tensors that the action
    /// makes are disposed after each piece.
    /// </summary>
    public static void ForEach(Tensor tensor, long maximumElements, Action<Tensor> action) =>
        ForEach([tensor], maximumElements, pieces => action(pieces[0]));

    /// <summary>Walks tensors of one shape side by side, as the other overload does one.</summary>
    public static void ForEach(Tensor[] tensors, long maximumElements, Action<Tensor[]> action)
    {
        var elements = tensors[0].numel();
        if (elements == 0)
            return;
        if (elements <= maximumElements)
        {
            using var scope = NewDisposeScope();
            action(tensors);
            return;
        }
        var rows = tensors[0].shape[0];
        var rowElements = elements / rows;
        if (rowElements > maximumElements)
        {
            for (long row = 0; row < rows; row++)
            {
                using var scope = NewDisposeScope();
                ForEach([.. tensors.Select(tensor => tensor.select(0, row))], maximumElements, action);
            }
            return;
        }
        var step = maximumElements / rowElements;
        for (long start = 0; start < rows; start += step)
        {
            using var scope = NewDisposeScope();
            action([.. tensors.Select(tensor => tensor.narrow(0, start, Math.Min(step, rows - start)))]);
        }
    }
}
