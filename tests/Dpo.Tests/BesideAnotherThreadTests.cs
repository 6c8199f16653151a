using System.Diagnostics;
using static TorchSharp.torch;

namespace Dpo.Tests;

/// <summary>Training and sampling while another thread collects garbage half of the time: what native code is given must be held until
/// it has been read. A number that nothing holds is freed too early about once in 10,000 operations here, which is once in some
/// hundred steps.</summary>
public class BesideAnotherThreadTests
{
    private static readonly TrainingOptions Options = TrainerTests.Options with { Steps = 160, MicroBatchSize = 8, DetailedMetrics = true };

    [Fact]
    public void A_run_of_the_library_s_losses_ends_well()
    {
        using var pair = new PolicyReferencePair(new Gpt2(TrainerTests.Shape, seed: 5));
        using var trainer = new DpoTrainer(pair, LossFamilyTests.Named("sigmoid sft nca_pair").Create(), Options);
        Disturbed(() => trainer.Train(TrainerTests.Data(16)));
    }

    [Fact]
    public void A_loss_of_a_user_s_own_as_the_readme_teaches_it_ends_well()
    {
        using var policy = new Llama(new LlamaConfig { VocabularySize = 40, HiddenSize = 16, LayerCount = 2, HeadCount = 2, InnerSize = 32, MaxPositions = 24 });
        policy.Precision = Precision.BFloat16;
        policy.AddLora(new LoraOptions { Rank = 2, TargetModules = ["q_proj", "up_proj"], Dropout = 0.1 });
        using var pair = new PolicyReferencePair(policy);
        using var trainer = new DpoTrainer(pair, new SquaredHinge(0.1), Options);
        Disturbed(() => trainer.Train(TrainerTests.Data(16)));
    }

    [Fact]
    public void Sampling_ends_well()
    {
        using var model = new Gpt2(TrainerTests.Shape, seed: 5);
        Disturbed(() =>
        {
            for (var round = 0; round < 40; round++)
                Sampler.Sample(model, [[1, 2, 3], [4]], new SamplingOptions { MaxNewTokens = 16, SamplesPerPrompt = 2, RepetitionPenalty = 1.1, TopP = 0.9, Seed = round });
        });
    }

    private static void Disturbed(Action work)
    {
        using var ended = new CancellationTokenSource();
        var other = new Thread(() =>
        {
            var clock = new Stopwatch();
            while (!ended.IsCancellationRequested)
            {
                clock.Restart();
                GC.Collect(0, GCCollectionMode.Forced, blocking: true);
                // As long again: to one that collects without a pause, 9,000 times a second, the work may lose all its time.
                for (var took = clock.Elapsed; clock.Elapsed < 2 * took && !ended.IsCancellationRequested;)
                    Thread.Yield();
            }
        });
        other.Start();
        try
        {
            work();
        }
        finally
        {
            ended.Cancel();
            other.Join();
        }
    }

    private sealed class SquaredHinge(double beta) : PairLoss
    {
        public override double Beta => beta;

        public override Tensor Losses(PairLogProbs pairs) => pairs.Margins.Times(Beta).OneMinus().relu().Squared();
    }
}
