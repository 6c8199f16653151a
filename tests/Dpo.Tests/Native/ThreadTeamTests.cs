using static TorchSharp.torch;

namespace Dpo.Tests;

public class ThreadTeamTests
{
    [Theory]
    [InlineData(0)]
    [InlineData(1)]
    [InlineData(3)]
    [InlineData(1000)]
    public void Every_part_is_done_once(int parts)
    {
        var times = new int[parts];

        ThreadTeam.Run(parts, part => Interlocked.Increment(ref times[part]));

        Assert.All(times, count => Assert.Equal(1, count));
    }

    [Fact]
    public void All_other_parts_are_done_where_some_fail()
    {
        var done = new bool[100];

        var failure = Assert.Throws<AggregateException>(() => ThreadTeam.Run(done.Length, part =>
        {
            if (part is 10 or 60)
                throw new InvalidOperationException($"Part {part}.");
            done[part] = true;
        }));

        Assert.Equal(["Part 10.", "Part 60."], failure.InnerExceptions.Select(inner => inner.Message).Order());
        Assert.Equal(98, done.Count(isDone => isDone));
    }

    /// <summary>A thread pool's would compete for the cores with LibTorch's own, which are GNU OpenMP's on Linux.</summary>
    [Fact]
    public void On_Linux_parts_are_shared_out_among_threads_of_libtorch()
    {
        if (!OperatingSystem.IsLinux())
            return;
        var before = get_num_threads();
        set_num_threads(2);
        try
        {
            using var together = new Barrier(2);
            var threads = new Thread[2];

            // Neither part ends before the other has begun, so that two threads are at work.
            ThreadTeam.Run(2, part =>
            {
                threads[part] = Thread.CurrentThread;
                Assert.True(together.SignalAndWait(TimeSpan.FromMinutes(1)));
            });

            Assert.Single(threads, Thread.CurrentThread);
            Assert.False(threads.Single(thread => thread != Thread.CurrentThread).IsThreadPoolThread);
        }
        finally
        {
            set_num_threads(before);
        }
    }
}
