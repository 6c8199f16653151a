namespace Dpo.Tests;

/// <summary>A test of files that lie beside some checkouts only, in <c>../shared</c>. Where one is missing the test is skipped, and says
/// which; it never passes for want of what it tests.</summary>
[AttributeUsage(AttributeTargets.Method)]
internal sealed class SharedFactAttribute : FactAttribute
{
    public SharedFactAttribute(params string[] paths) => Skip = Fixture.Missing(paths);
}

/// <summary>As <see cref="SharedFactAttribute"/>, for a test of several cases.</summary>
[AttributeUsage(AttributeTargets.Method)]
internal sealed class SharedTheoryAttribute : TheoryAttribute
{
    public SharedTheoryAttribute(params string[] paths) => Skip = Fixture.Missing(paths);
}
