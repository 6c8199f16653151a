using System.CommandLine;
using Dpo.Samples;

namespace Dpo.Benchmarks;

/// <summary>The pairs that are measured: their lengths are those of a preference data set, their tokens random.</summary>
internal sealed class Workload
{
    private const int Seed = 0;

    /// <summary>Batches a row is measured on: what is padded depends on which pairs meet.</summary>
    private const int BatchCount = 3;

    /// <summary>The paper's: longer pairs have prompt and completions cut to half of it each.</summary>
    private const int MaxLength = 512;

    private readonly Option<string?> data = CliOption.Path(
        "--data", "FILE", "Preferences whose lengths are taken. [default: generated, distributed as Helpful-Harmless's]");
    private readonly Option<string?> tokenizer = CliOption.Path("--tokenizer", "DIR", "The folder of the tokenizer for --data, such as GPT-2's.");
    private readonly Option<int?> batch = CliOption.Whole("--batch", "Pairs of a batch. [default: 8]");

    /// <summary>Adds the options to a command.</summary>
    public Workload(Command command)
    {
        command.Options.Add(data);
        command.Options.Add(tokenizer);
        command.Options.Add(batch);
    }

    /// <summary>The batches that the options ask for.</summary>
    public PairLengths[][] Batches(ParseResult parsed)
    {
        var size = parsed.GetValue(batch) ?? 8;
        var file = parsed.GetValue(data);
        if (file is not null != (parsed.GetValue(tokenizer) is not null))
            throw new InvalidInputException("--data and --tokenizer go together: lengths are counted in tokens.");
        var random = new Random(Seed);
        var pairs = file is null
            ? Generate(size * BatchCount, random)
            : Read(file, parsed.GetValue(tokenizer)!);
        if (pairs.Length < size * BatchCount)
            throw new InvalidInputException($"{file} has {pairs.Length} pairs, but {BatchCount} batches of {size} are measured; use a smaller --batch.");
        random.Shuffle(pairs);
        return [.. pairs.Chunk(size).Take(BatchCount)];
    }

    /// <summary>A batch of the given lengths and of random tokens.</summary>
    public static PreferenceBatch Batch(IEnumerable<PairLengths> lengths, int vocabularySize)
    {
        var random = new Random(Seed);
        int[] Ids(int count) => [.. Enumerable.Range(0, count).Select(_ => random.Next(vocabularySize))];
        return new PreferenceBatch([.. lengths.Select(pair =>
            new TokenizedExample(Ids(pair.Prompt), [Ids(pair.Chosen), Ids(pair.Rejected)], [new PreferencePair(0, 1)]))]);
    }

    /// <summary>Batches of generated pairs.</summary>
    public static PairLengths[][] Generate(int batch, int batches) => [.. Generate(batch * batches, new Random(Seed)).Chunk(batch)];

    private static PairLengths[] Read(string file, string folder)
    {
        var report = new DataReport();
        var examples = new ExampleTokenizer(TextTokenizer.Load(folder), MaxLength, MaxLength / 2);
        return [.. examples.Tokenize(PreferenceFile.Read(file, report), report)
            .SelectMany(example => example.Pairs.Select(pair => new PairLengths(
                example.Prompt.Count, example.Completions[pair.Chosen].Count, example.Completions[pair.Rejected].Count)))];
    }

    /// <summary>
    /// Lengths with means of 124, 41 and 51 tokens, spread as those of Anthropic's helpful-base test set are under GPT-2's
    /// tokenizer and the paper's truncation (deviation over mean 0.81 for prompts, 0.92 for completions), by Weibull
    /// distributions. Every quantile is drawn once, so that few pairs have the distribution of many.
    /// </summary>
    private static PairLengths[] Generate(int count, Random random)
    {
        var (prompts, chosen, rejected) = (Lengths(133, 1.24), Lengths(42, 1.09), Lengths(53, 1.09));
        return [.. Enumerable.Range(0, count).Select(pair => Truncate(new PairLengths(prompts[pair], chosen[pair], rejected[pair])))];

        int[] Lengths(double scale, double shape)
        {
            int[] lengths = [.. Enumerable.Range(0, count).Select(pair =>
                1 + (int)(scale * Math.Pow(-Math.Log(1 - (pair + 0.5) / count), 1 / shape)))];
            random.Shuffle(lengths);
            return lengths;
        }
    }

    private static PairLengths Truncate(PairLengths pair) => pair.Longest <= MaxLength ? pair : new PairLengths(
        Math.Min(pair.Prompt, MaxLength / 2), Math.Min(pair.Chosen, MaxLength / 2), Math.Min(pair.Rejected, MaxLength / 2));
}
