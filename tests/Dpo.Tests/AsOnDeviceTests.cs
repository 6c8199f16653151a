namespace Dpo.Tests;

/// <summary>Tests of what is done in other ways on a GPU than on a CPU, a second time: on the CPU in the GPU's ways
/// (<see cref="DeviceStrategies"/>).</summary>
public static class AsOnDeviceTests
{
    public sealed class RmsProp : RmsPropTests, IDisposable
    {
        private readonly IDisposable strategies = DeviceStrategies.OnCpu();

        public void Dispose() => strategies.Dispose();
    }

    public sealed class AdamW : FusedAdamWTests, IDisposable
    {
        private readonly IDisposable strategies = DeviceStrategies.OnCpu();

        public void Dispose() => strategies.Dispose();
    }

    public sealed class Norm : GradientNormTests, IDisposable
    {
        private readonly IDisposable strategies = DeviceStrategies.OnCpu();

        public void Dispose() => strategies.Dispose();
    }

    public sealed class Resources : OptimizerResourceTests, IDisposable
    {
        private readonly IDisposable strategies = DeviceStrategies.OnCpu();

        public void Dispose() => strategies.Dispose();
    }

    public sealed class Restorable : RestorableOptimizerTests, IDisposable
    {
        private readonly IDisposable strategies = DeviceStrategies.OnCpu();

        public void Dispose() => strategies.Dispose();
    }

    public sealed class Trainers : TrainerTests, IDisposable
    {
        private readonly IDisposable strategies = DeviceStrategies.OnCpu();

        public void Dispose() => strategies.Dispose();
    }

    public sealed class Coupled : CoupledPartsTests, IDisposable
    {
        private readonly IDisposable strategies = DeviceStrategies.OnCpu();

        public void Dispose() => strategies.Dispose();
    }

    public sealed class Losses : LossFamilyTests, IDisposable
    {
        private readonly IDisposable strategies = DeviceStrategies.OnCpu();

        public void Dispose() => strategies.Dispose();
    }

    public sealed class Trajectories : TrajectoryTests, IDisposable
    {
        private readonly IDisposable strategies = DeviceStrategies.OnCpu();

        public void Dispose() => strategies.Dispose();
    }
}
