namespace Dpo.Tests;

/// <summary>A disk that holds so many bytes more.</summary>
internal sealed class QuotaStream(Stream inner, Action<long> take, Func<long> left) : PassingStream(inner)
{
    protected override void Passing(int bytes)
    {
        if (bytes > left())
            throw new IOException("No space left on device.");
        take(bytes);
    }
}
