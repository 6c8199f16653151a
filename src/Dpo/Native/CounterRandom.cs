namespace Dpo.Native;

/// <summary>
/// Random numbers that are a function of where they are used, not of what was drawn before: a sequence's draws do not depend on
/// what else is in the batch, nor a step's on whether the run was interrupted.
/// </summary>
internal static class CounterRandom
{
    // The increment and the finalizer of SplitMix64 (Steele, Lea and Flood 2014).
    private const ulong Increment = 0x9E3779B97F4A7C15;

    /// <summary>From 0 up to, not including, 1, in steps of 2⁻²⁴, which fp32 holds exactly.</summary>
    public static float Uniform(int seed, long sequence, int step) =>
        (Mix(Mix(Mix((ulong)seed) + (ulong)sequence) + (ulong)step) >> 40) * (1f / (1 << 24));

    /// <summary>A whole number from 0 up to, not including, <paramref name="bound"/>.</summary>
    /// <remarks>The upper half of 64 bits times the bound: no number is likelier than another by more than bound ·
    /// 2⁻⁶⁴.</remarks>
    public static int Below(int bound, ulong place) => (int)Math.BigMul(Mix(place), (ulong)bound, out _);

    /// <summary>64 bits that follow from 64 others and look like chance.</summary>
    public static ulong Mix(ulong value)
    {
        value += Increment;
        value = (value ^ (value >> 30)) * 0xBF58476D1CE4E5B9;
        value = (value ^ (value >> 27)) * 0x94D049BB133111EB;
        return value ^ (value >> 31);
    }
}
