using Dpo.Evaluation.Judging;
using Dpo.Tests;
using Microsoft.Extensions.AI;
using TorchSharp;
using ChatMessage = Microsoft.Extensions.AI.ChatMessage;

namespace Dpo.Evaluation.Tests.Judging;

/// <summary>A tiny model with random weights behind the interface; what it says is Sampler's.</summary>
public sealed class DpoChatClientTests : IDisposable
{
    private static readonly string folder = Fixture.Path("models", "gpt2");

    private readonly CausalLanguageModel model = CausalLanguageModel.Load(folder);
    private readonly TextTokenizer tokenizer = TextTokenizer.Load(folder);
    private readonly DpoChatClient client;
    private readonly int threads = torch.get_num_threads();

    public DpoChatClientTests()
    {
        client = new DpoChatClient(model, tokenizer, ChatTemplate.HelpfulHarmless, "tiny");
        torch.set_num_threads(1); // for so tiny a model the others are only waited for
    }

    public void Dispose()
    {
        torch.set_num_threads(threads);
        client.Dispose();
        model.Dispose();
    }

    [Fact]
    public async Task Answers_as_the_sampler_does()
    {
        var options = new ChatOptions { Instructions = null, Temperature = 0.8f, TopK = 50, TopP = 0.9f, MaxOutputTokens = 30, Seed = 12, StopSequences = ["zz"] };
        var response = await client.GetResponseAsync([new(ChatRole.User, "Hi."), new(ChatRole.Assistant, "Yes?"), new(ChatRole.User, "Why?")], options);
        var expected = Sampler.Sample(model, tokenizer, ["\n\nHuman: Hi.\n\nAssistant: Yes?\n\nHuman: Why?\n\nAssistant:"], new SamplingOptions
        {
            Temperature = 0.8f,
            TopK = 50,
            TopP = 0.9f,
            MaxNewTokens = 30,
            Seed = 12,
            StopStrings = ["zz", "\n\nHuman:"],
        }).Single();
        Assert.Equal(expected.Text!.TrimStart(), response.Text);
        Assert.NotEqual("", response.Text);
        Assert.Equal(("tiny", ChatFinishReason.Length, ChatRole.Assistant), (response.ModelId, response.FinishReason, response.Messages.Single().Role));
        var prompt = tokenizer.EncodePrompt("\n\nHuman: Hi.\n\nAssistant: Yes?\n\nHuman: Why?\n\nAssistant:").Count;
        Assert.Equal((prompt, 30, prompt + 30), (response.Usage!.InputTokenCount, response.Usage.OutputTokenCount, response.Usage.TotalTokenCount));
        Assert.NotEqual(response.Text, (await client.GetResponseAsync([new(ChatRole.User, "Hi."), new(ChatRole.Assistant, "Yes?"), new(ChatRole.User, "Why?")], WithSeed(options, 13))).Text);
    }

    [Theory]
    [InlineData(0)]
    [InlineData(1)]
    [InlineData(5)]
    public async Task Streams_what_it_would_answer(int seed)
    {
        var options = new ChatOptions { MaxOutputTokens = 40, Seed = seed };
        var whole = await client.GetResponseAsync("Why?", options);
        var updates = new List<ChatResponseUpdate>();
        await foreach (var update in client.GetStreamingResponseAsync("Why?", options))
            updates.Add(update);
        Assert.True(updates.Count > 5);
        Assert.Equal(whole.Text, string.Concat(updates.Select(update => update.Text)));
        var together = updates.ToChatResponse();
        Assert.Equal((whole.Text, whole.FinishReason, "tiny"), (together.Text, together.FinishReason, together.ModelId));
        Assert.Equal(whole.Usage!.TotalTokenCount, together.Usage!.TotalTokenCount);
        Assert.Single(together.Messages);
    }

    [Fact]
    public async Task Leaves_out_white_space_in_front_in_a_stream_too()
    {
        using var reciter = new LogitsModel(new Reciter(tokenizer, [.. tokenizer.Encode(" \n Why not? \n"), tokenizer.EndOfTextId]));
        using var own = new DpoChatClient(reciter, tokenizer, ChatTemplate.HelpfulHarmless, "reciter");
        Assert.Equal("Why not? \n", (await own.GetResponseAsync("Why?")).Text);
        Assert.Equal("Why not? \n", (await own.GetStreamingResponseAsync("Why?").ToChatResponseAsync()).Text);
    }

    [Fact]
    public async Task A_stream_that_is_left_is_not_sampled_to_its_end()
    {
        const int Length = 300;
        using var module = new Reciter(tokenizer, [.. Enumerable.Repeat(tokenizer.Encode("x")[0], Length)], delay: 5);
        using var reciter = new LogitsModel(module);
        using var own = new DpoChatClient(reciter, tokenizer, ChatTemplate.HelpfulHarmless, "reciter");
        await foreach (var update in own.GetStreamingResponseAsync("Why?", new ChatOptions { MaxOutputTokens = Length }))
            break;
        Assert.InRange(module.Calls, 1, Length - 1);
    }

    [Fact]
    public async Task Ends_at_a_stop_sequence_and_where_the_next_turn_would_begin()
    {
        var options = new ChatOptions { MaxOutputTokens = 40, Seed = 5 };
        var text = (await client.GetResponseAsync("Why?", options)).Text;
        Assert.True(text.Length > 20);
        var stop = text.Substring(text.Length / 2, 3);
        options.StopSequences = [stop];
        var stopped = await client.GetResponseAsync("Why?", options);
        Assert.Equal((text[..text.IndexOf(stop, StringComparison.Ordinal)], ChatFinishReason.Stop), (stopped.Text, stopped.FinishReason));

        // The same by a template whose user's turn begins so, and has no end.
        using var other = new DpoChatClient(model, tokenizer, new ChatTemplate("own")
        {
            Header = role => [ChatSegment.OfText(role == "user" ? stop : "\n\nAssistant:")],
            Content = content => $"\n\nHuman: {content}"[(content == "Why?" ? 0 : 2)..],
        }, "other");
        var prompt = $"{stop}\n\nHuman: Why?\n\nAssistant:";
        var expected = Sampler.Sample(model, tokenizer, [prompt], new SamplingOptions { MaxNewTokens = 40, Seed = 5, StopStrings = [stop] }).Single();
        Assert.Equal(expected.Text!.TrimStart(), (await other.GetResponseAsync("Why?", new ChatOptions { MaxOutputTokens = 40, Seed = 5 })).Text);
    }

    [Fact]
    public async Task Ends_at_the_token_that_ends_a_turn()
    {
        var template = new ChatTemplate("own") { Header = role => [ChatSegment.OfText($"{role}:")], End = [ChatSegment.Special("<|pad|>"), ChatSegment.OfText("\n")] };
        using var own = new DpoChatClient(model, tokenizer, template, "own");
        var ends = 0;
        for (var seed = 0; seed < 4; seed++)
        {
            var response = await own.GetResponseAsync("Why?", new ChatOptions { MaxOutputTokens = 60, Seed = seed, Temperature = 2 });
            var sample = Sampler.Sample(model, [tokenizer.EncodePrompt(template.Render([new("user", "Why?")], generationPrompt: true))],
                new SamplingOptions { MaxNewTokens = 60, Seed = seed, Temperature = 2, EndOfTextIds = [tokenizer.EndOfTextId, tokenizer.PadId!.Value] }, tokenizer).Single();
            Assert.Equal((sample.Text!.TrimStart(), sample.Tokens.Count), (response.Text, response.Usage!.OutputTokenCount));
            ends += sample.Tokens[^1] == tokenizer.PadId ? 1 : 0;
        }
        Assert.True(ends > 0);
    }

    [Fact]
    public async Task Takes_the_positions_that_are_left_where_nobody_says_how_many()
    {
        var prompt = tokenizer.EncodePrompt("\n\nHuman: Why?\n\nAssistant:").Count;
        var longest = 0L;
        for (var seed = 0; seed < 5; seed++)
            longest = Math.Max(longest, (await client.GetResponseAsync("Why?", new ChatOptions { Seed = seed })).Usage!.OutputTokenCount!.Value);
        Assert.Equal(model.MaxPositions - prompt, longest);
        var failure = await Assert.ThrowsAsync<InvalidInputException>(() => client.GetResponseAsync(new string('x', 500), new ChatOptions()));
        Assert.Contains("exceed the model's 128 positions", failure.Message);
    }

    [Fact]
    public async Task Calls_are_made_one_after_another()
    {
        var options = new ChatOptions { MaxOutputTokens = 40, Seed = 4 };
        var expected = (await client.GetResponseAsync("Why?", options)).Text;
        var texts = await Task.WhenAll(Enumerable.Range(0, 6).Select(_ => client.GetResponseAsync("Why?", options)));
        Assert.All(texts, text => Assert.Equal(expected, text.Text));
    }

    [Fact]
    public async Task A_stream_that_is_left_and_a_call_that_is_cancelled_make_way_for_the_next()
    {
        var options = new ChatOptions { MaxOutputTokens = 100, Seed = 4, Temperature = 0 };
        await foreach (var update in client.GetStreamingResponseAsync("Why?", options))
            break;
        using var cancel = new CancellationTokenSource();
        await Assert.ThrowsAnyAsync<OperationCanceledException>(async () =>
        {
            await foreach (var update in client.GetStreamingResponseAsync("Why?", options, cancel.Token))
                await cancel.CancelAsync();
        });
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => client.GetResponseAsync("Why?", options, cancel.Token));
        Assert.NotEqual("", (await client.GetResponseAsync("Why?", options)).Text);
    }

    [Fact]
    public async Task What_it_does_not_do_is_refused()
    {
        async Task Refuses(ChatOptions options, string name) => Assert.Contains(
            $"ChatOptions.{name};", (await Assert.ThrowsAsync<NotSupportedException>(() => client.GetResponseAsync("Why?", options))).Message);
        await Refuses(new ChatOptions { Tools = [new HostedWebSearchTool()] }, "Tools");
        await Refuses(new ChatOptions { FrequencyPenalty = 1 }, "FrequencyPenalty");
        await Refuses(new ChatOptions { PresencePenalty = 1 }, "PresencePenalty");
        await Refuses(new ChatOptions { ResponseFormat = ChatResponseFormat.Json }, "ResponseFormat");
        var image = new ChatMessage(ChatRole.User, [new DataContent(new byte[] { 1 }, "image/png")]);
        Assert.Contains("DataContent", (await Assert.ThrowsAsync<NotSupportedException>(() => client.GetResponseAsync([image]))).Message);
        await Assert.ThrowsAsync<ArgumentException>(() => client.GetResponseAsync([]));
        var failure = await Assert.ThrowsAsync<InvalidInputException>(() => client.GetResponseAsync("Why?", new ChatOptions { Instructions = "Be brief." }));
        Assert.Contains("no role 'system'", failure.Message);
    }

    [Fact]
    public async Task Judges_as_any_other_client_does()
    {
        const string Answer = "Comparison: the second is better.\nVerdict: B";
        int[] script = [.. tokenizer.Encode(Answer), tokenizer.EndOfTextId];
        using var reciter = new LogitsModel(new Reciter(tokenizer, script));
        using var own = new DpoChatClient(reciter, tokenizer, ChatTemplate.HelpfulHarmless, "reciter");
        using var folder = new TemporaryFolder();
        var judge = new ChatJudge(own, Worths.Prompt, Worths.Quick);
        Assert.Equal("reciter, worth", judge.Name);
        var result = await JudgingRun.RunAsync(judge, Worths.Comparisons(3), folder.File("verdicts.jsonl"), new JudgingOptions { BothOrders = true, Concurrency = 3 });
        Assert.All(result.Comparisons, judged => Assert.Equal([Verdict.Loss, Verdict.Win], judged.Shown.Select(shown => shown.Judgement.Verdict!.Value)));
        Assert.Equal("the second is better.\nthe second is better.", result.Comparisons[0].Explanation);
        Assert.Equal(6 * script.Length, result.Tokens.Output);
    }

    [Fact]
    public async Task A_judge_that_a_comparison_is_too_long_for_says_so_at_once()
    {
        var judge = new ChatJudge(client, new JudgePrompt("own", "{prompt}{first}{second}"), Worths.Quick with { Attempts = 2, MaxOutputTokens = 4 });
        // The form of the answer alone is.
        var failure = await Assert.ThrowsAsync<InvalidInputException>(() => judge.CompareAsync([new Comparison("p", "a", "b")]));
        Assert.EndsWith("exceed the model's 128 positions; shorten either.", failure.Message);
    }

    /// <summary>Says the same behind every prompt that ends so.</summary>
    private sealed class Reciter : torch.nn.Module<torch.Tensor, torch.Tensor>
    {
        private readonly IReadOnlyList<int> ending;
        private readonly int[] script;
        private readonly int vocabularySize, delay;

        public Reciter(TextTokenizer tokenizer, int[] script, int delay = 0)
            : base(nameof(Reciter))
        {
            (ending, this.script, vocabularySize, this.delay) = (tokenizer.Encode("Assistant:"), script, tokenizer.VocabularySize, delay);
            register_parameter("unused", new TorchSharp.Modules.Parameter(torch.zeros(1)));
        }

        public int Calls { get; private set; }

        public override torch.Tensor forward(torch.Tensor ids)
        {
            Calls++;
            Thread.Sleep(delay);
            // One sequence, of which only the last place is drawn from.
            var logits = torch.zeros(1, ids.shape[1], vocabularySize);
            logits[0, -1, Next([.. ids.data<long>()])] = 100;
            return logits;
        }

        /// <summary>The token behind as much of the script as stands behind the prompt.</summary>
        private int Next(long[] ids) => Enumerable.Range(0, script.Length)
            .LastOrDefault(said => ids.Length >= ending.Count + said && ids[^(ending.Count + said)..].SequenceEqual(ending.Concat(script.Take(said)).Select(id => (long)id))) is var at
            ? script[at] : 0;
    }

    private static ChatOptions WithSeed(ChatOptions options, long seed)
    {
        var other = options.Clone();
        other.Seed = seed;
        return other;
    }
}
