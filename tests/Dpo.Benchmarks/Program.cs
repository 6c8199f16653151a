using System.CommandLine;
using Dpo.Benchmarks;
using Dpo.Samples;

var command = new RootCommand("Measures what a step of DPO costs, against the algorithm of TRL and of the paper's code on the same weights.")
{
    StepCommand.Create(),
    HeadCommand.Create(),
    AttentionCommand.Create(),
    OptimizerCommand.Create(),
    SplitCommand.Create(),
    LoraCommand.Create(),
    GenerateCommand.Create(),
    DeviceCommand.Create(),
    BestOfCommand.Create(),
    RandomWalksCommand.Create(),
    PpoCommand.Create(),
    ChildProcess.Command<StepRequest, Measurement>(StepCommand.Child, StepWorker.Run),
    ChildProcess.Command<GemmRequest, double>(GemmPeak.Child, GemmPeak.Measure),
    ChildProcess.Command<HeadRequest, Measurement>(HeadCommand.Child, HeadCommand.Measure),
    ChildProcess.Command<AttentionRequest, Measurement>(AttentionCommand.Child, AttentionCommand.Measure),
    ChildProcess.Command<SharingRequest, Measurement>(Sharing.Child, Sharing.Measure),
    ChildProcess.Command<GenerateRequest, GenerateMeasurement>(GenerateCommand.Child, GenerateCommand.Measure),
    ChildProcess.Command<BestOfRequest, BestOfMeasurement>(BestOfCommand.Child, BestOfCommand.Measure),
    ChildProcess.Command<RandomWalksRequest, RandomWalksRow[]>(RandomWalksCommand.Child, RandomWalksCommand.Measure),
    ChildProcess.Command<PpoRequest, PpoMeasurement>(PpoCommand.Child, PpoCommand.Measure),
    ChildProcess.Command<SplitRequest, Measurement>(SplitCommand.Child, SplitCommand.Measure),
    ChildProcess.Command<OptimizerRequest, Measurement>(OptimizerCommand.Child, OptimizerCommand.Measure),
    ChildProcess.Command<DeviceCheckRequest, Check[]>(DeviceChecks.Child, DeviceChecks.Run),
    ChildProcess.Command<DevicePeak.Request, double>(DevicePeak.Child, DevicePeak.Measure),
    ChildProcess.Command<DeviceSpeedRequest, DeviceSpeedMeasurement>(DeviceSpeed.Child, DeviceSpeed.Measure),
    ChildProcess.Command<DeviceGenerationRequest, double>(DeviceGeneration.Child, DeviceGeneration.Measure),
    ChildProcess.Command<LoraRequest, Measurement>(LoraCommand.Child, LoraWorker.Run),
};
return SampleProgram.Run(command, args);
