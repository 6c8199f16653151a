using Dpo.Batching;
using Dpo.Models;
using Dpo.Tokenization;
using static TorchSharp.torch;

namespace Dpo.Baselines;

/// <summary>
/// A model that gives a completion a number (the paper's r_φ, section 3): a language model with a scalar head, read at the last
/// token. Loaded and saved as transformers' <c>…ForSequenceClassification</c> with one label. <see cref="RewardTrainer"/> trains
/// it.
/// </summary>
/// <remarks>
/// A token at the end that <c>pad_token_id</c> of <c>config.json</c> names is passed over, as transformers does: where that is
/// the end-of-text token, the token before it is read.
/// </remarks>
public sealed class RewardModel : IReward, IDisposable
{
    private const string MeanField = "dpo_reward_mean";
    private const int MaxTokens = 4096;

    private readonly TextTokenizer? tokenizer;

    /// <summary>Makes one of a model with a scalar head.</summary>
    /// <param name="model">Such as <see cref="TransformerModel.WithScalarHead"/> makes of a policy; disposed with this.</param>
    /// <param name="tokenizer">The model's own, where it is to score texts of another model's (<see cref="Answer.Text"/>); null
    /// scores ids.</param>
    /// <exception cref="ArgumentException">The model has no scalar head.</exception>
    public RewardModel(TransformerModel model, TextTokenizer? tokenizer = null)
    {
        ArgumentNullException.ThrowIfNull(model);
        if (!model.IsScalar)
            throw new ArgumentException(
                "The model gives logits, and a reward model one number; make it of model.WithScalarHead().", nameof(model));
        (Model, this.tokenizer) = (model, tokenizer);
        Mean = model.Config.Double(MeanField, 0, minimum: double.MinValue);
        // Llama's first models say −1 for none.
        Padding = model.Config.Int("pad_token_id", fallback: -1, minimum: -1) is >= 0 and var id ? id : null;
    }

    /// <summary>The model, whose parameters are trained.</summary>
    public TransformerModel Model { get; }

    /// <summary>What is subtracted from what the head gives: 0, or what <see cref="Centre"/> found; saved with the
    /// model.</summary>
    public double Mean { get; private set; }

    /// <summary>The id that is passed over at the end of a completion.</summary>
    internal int? Padding { get; }

    /// <summary>Loads a reward model that <see cref="Save"/> or transformers wrote, or begins one at a language model.</summary>
    /// <param name="folder">The model folder, or its name on the hub.</param>
    /// <param name="device">Where the weights go; the CPU by default.</param>
    /// <param name="tokenizer">As for the constructor.</param>
    /// <param name="seed">Seeds a new head.</param>
    /// <exception cref="InvalidInputException">As <see cref="CausalLanguageModel.LoadScalar"/> says.</exception>
    public static RewardModel Load(string folder, Device? device = null, TextTokenizer? tokenizer = null, int seed = 0) =>
        new(CausalLanguageModel.LoadScalar(folder, device, seed: seed), tokenizer);

    /// <summary>Has rewards be 0 on average over some data, which leaves the order of completions, and the loss of pairs, as they
    /// are (the paper normalizes its reward model so: its section 3).</summary>
    /// <param name="data">The data, such as those that were trained on: all their completions count.</param>
    public void Centre(PreferenceData data)
    {
        Mean = 0;
        Mean = Score(data).SelectMany(rewards => rewards).Average(reward => (double)reward);
        Model.SetConfig(MeanField, Mean);
    }

    /// <summary>Scores all completions of data.</summary>
    /// <param name="data">The data, tokenized by the model's own tokenizer.</param>
    /// <param name="cancellationToken">Ends it between two batches.</param>
    /// <returns>For every example, for every completion, its reward.</returns>
    /// <exception cref="InvalidInputException">A sequence has more tokens than the model has positions.</exception>
    public IEnumerable<IReadOnlyList<float>> Score(PreferenceData data, CancellationToken cancellationToken = default)
    {
        ArgumentNullException.ThrowIfNull(data);
        return data.Examples.Chunk(64).SelectMany(examples => Score(examples, cancellationToken));
    }

    /// <inheritdoc/>
    public IReadOnlyList<float> Score(IReadOnlyList<Answer> answers)
    {
        ArgumentNullException.ThrowIfNull(answers);
        var prompts = new List<(IReadOnlyList<int> Prompt, List<IReadOnlyList<int>> Completions)>();
        foreach (var (prompt, completion) in answers.Select(Tokenized))
        {
            // Those of a prompt stand together.
            if (prompts.Count == 0 || !prompts[^1].Prompt.SequenceEqual(prompt))
                prompts.Add((prompt, []));
            prompts[^1].Completions.Add(completion);
        }
        TrainingExample[] examples = [.. prompts.Select(of => new TrainingExample(of.Prompt, of.Completions, []))];
        return [.. Score(examples, CancellationToken.None).SelectMany(rewards => rewards)];
    }

    /// <summary>Writes <c>config.json</c> and <c>model.safetensors</c>, as <see cref="TransformerModel.Save"/> does.</summary>
    public void Save(string folder) => Model.Save(folder);

    /// <summary>Disposes the model.</summary>
    public void Dispose() => Model.Dispose();

    private (IReadOnlyList<int> Prompt, IReadOnlyList<int> Completion) Tokenized(Answer answer) => tokenizer is null
        ? (IdsOf(answer.PromptIds), IdsOf(answer.Ids))
        : (tokenizer.EncodePrompt(TextOf(answer.Prompt)), [.. tokenizer.Encode(TextOf(answer.Text)), tokenizer.EndOfTextId]);

    private static IReadOnlyList<int> IdsOf(IReadOnlyList<int> ids) => ids.Count > 0 ? ids : throw new InvalidInputException(
        "A reward model without a tokenizer of its own scores ids, and an answer has none of its prompt or completion; give " +
        "the model its tokenizer.");

    private static string TextOf(string? text) => text ?? throw new InvalidInputException(
        "A reward model with a tokenizer of its own scores texts, and an answer has none; sample with a tokenizer.");

    private IReadOnlyList<float>[] Score(IReadOnlyList<TrainingExample> examples, CancellationToken cancellationToken)
    {
        using var noGrad = no_grad();
        using var mode = new EvaluationMode(Model);
        var slices = examples.SelectMany(example => ExampleCuts.Slices(example, MaxTokens));
        var rewards = new Queue<float>();
        foreach (var part in PreferenceBatch.Pack(slices, slice => (slice.TokenCount, 0), MaxTokens, int.MaxValue))
        {
            cancellationToken.ThrowIfCancellationRequested();
            using var scope = NewDisposeScope();
            foreach (var reward in RewardReading.Of(Model, part, Padding).cpu().data<float>())
                rewards.Enqueue((float)(reward - Mean));
        }
        return [.. examples.Select(example => (IReadOnlyList<float>)[.. example.Completions.Select(_ => rewards.Dequeue())])];
    }
}
