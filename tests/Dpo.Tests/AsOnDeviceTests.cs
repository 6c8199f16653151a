namespace Dpo.Tests;

/// <summary>Tests of what is done in other ways on a GPU than on a CPU, a second time: on the CPU in the GPU's ways.</summary>
public static class AsOnDeviceTests
{
    /// <summary>Switches them on while a class's tests run; tests run one by one.</summary>
    public sealed class Strategies : IDisposable
    {
        private readonly IDisposable strategies = DeviceStrategies.OnCpu();

        public void Dispose() => strategies.Dispose();
    }

    public sealed class RmsProp : RmsPropTests, IClassFixture<Strategies>;

    public sealed class Norm : GradientNormTests, IClassFixture<Strategies>;

    public sealed class Resources : OptimizerResourceTests, IClassFixture<Strategies>;

    public sealed class Restorable : RestorableOptimizerTests, IClassFixture<Strategies>;

    public sealed class Coupled : CoupledPartsTests, IClassFixture<Strategies>;

    public sealed class Trainers : TrainerTests, IClassFixture<Strategies>;

    public sealed class Losses : LossFamilyTests, IClassFixture<Strategies>;

    public sealed class Models : ArchitectureTests, IClassFixture<Strategies>;

    public sealed class Prompts : SharedPromptTests, IClassFixture<Strategies>;

    public sealed class Samples : SamplerTests, IClassFixture<Strategies>;

    public sealed class Trajectories : TrajectoryTests, IClassFixture<Strategies>;
}
