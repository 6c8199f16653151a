using System.Text.Encodings.Web;
using System.Text.Json;
using System.Text.Json.Nodes;
using Dpo.Files;
using Dpo.Training.Metrics;
using Microsoft.Extensions.Logging;

namespace Dpo.Evaluation.Judging;

/// <summary>
/// Verdicts in a file, one JSON object a line, each under the digest of what was asked. It is on the disk when
/// <see cref="Append"/> returns. One process at a time writes to it.
/// </summary>
internal sealed class VerdictFile : IDisposable
{
    private static readonly JsonSerializerOptions style = new() { Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping };

    private readonly FolderLock claim;
    private readonly GrowingFile file;
    private readonly string folder;
    private readonly Dictionary<string, ShownJudgement> verdicts = new(StringComparer.Ordinal);
    private bool isNamed;

    /// <summary>Opens a file, or prepares one where there is none yet.</summary>
    /// <param name="path">The file.</param>
    /// <param name="logger">Told where the last line was torn by a kill: it is cut off when the next one comes.</param>
    /// <exception cref="InvalidInputException">Another run writes to it, it cannot be read or written, or a line is no
    /// verdict.</exception>
    public VerdictFile(string path, ILogger logger)
    {
        folder = Path.GetDirectoryName(Path.GetFullPath(path))!;
        claim = new FolderLock(folder, $".{Path.GetFileName(path)}.lock");
        try
        {
            file = new GrowingFile(path, Read(path, logger));
        }
        catch
        {
            claim.Dispose();
            throw;
        }
    }

    /// <summary>The verdict on a question; null where there is none yet.</summary>
    public ShownJudgement? Find(string digest) => verdicts.GetValueOrDefault(digest);

    /// <summary>Appends verdicts; they are on the disk when the call returns.</summary>
    /// <exception cref="IOException">They cannot be written, or the file is no longer the one at its path.</exception>
    public void Append(string judge, IReadOnlyList<(Question Question, Judgement Judgement)> judged)
    {
        StepLines.Append(file, judged.Select(one => Line(judge, one.Question, one.Judgement)), style);
        file.Flush();
        if (!isNamed)
            DurableFolder.Flush(folder);
        isNamed = true;
        foreach (var (question, judgement) in judged)
            verdicts[question.Digest] = new ShownJudgement(question.Order, judgement);
    }

    public void Dispose()
    {
        file.Dispose();
        claim.Dispose();
    }

    private static JsonObject Line(string judge, Question question, Judgement judgement) => new()
    {
        ["digest"] = question.Digest,
        ["judge"] = judge,
        ["id"] = question.Comparison.Id,
        ["order"] = question.Order == ShownOrder.AsGiven ? "as given" : "reversed",
        ["verdict"] = judgement.Verdict switch
        {
            Verdict.Win => "win",
            Verdict.Loss => "loss",
            Verdict.Tie => "tie",
            _ => "unparsed",
        },
        ["explanation"] = judgement.Explanation,
        ["attempts"] = judgement.Attempts,
        ["input_tokens"] = judgement.Tokens.Input,
        ["output_tokens"] = judgement.Tokens.Output,
    };

    /// <summary>Reads the verdicts.</summary>
    /// <returns>How many bytes the whole lines take.</returns>
    private long Read(string path, ILogger logger)
    {
        if (!Path.Exists(path))
            return 0;
        using var stream = new BufferedStream(RegularFile.OpenRead(path), 1 << 16);
        var (length, number) = (0L, 0);
        foreach (var line in StepLines.Whole(stream))
        {
            var source = $"{path}, line {++number}";
            try
            {
                Read(StrictJson.Parse(source, line));
            }
            catch (Exception e)
                when (e is InvalidInputException or KeyNotFoundException or InvalidOperationException or FormatException)
            {
                throw new InvalidInputException(
                    $"{source}, is no verdict; give another file, or take the line out, and its comparison is judged again.", e);
            }
            length += line.Length + 1;
        }
        if (stream.Length > length)
            logger.LogWarning(
                "{Path} ends within line {Number}, which a run that was killed was writing; its comparison is judged again.",
                path, number + 1);
        return length;
    }

    private void Read(JsonElement line)
    {
        string Text(string field) => line.GetProperty(field).GetString() ?? throw new FormatException();
        var judgement = new Judgement(
            Text("verdict") switch
            {
                "win" => Verdict.Win,
                "loss" => Verdict.Loss,
                "tie" => Verdict.Tie,
                "unparsed" => null,
                _ => throw new FormatException(),
            },
            Text("explanation"))
        {
            Attempts = line.GetProperty("attempts").GetInt32(),
            Tokens = new TokenCount(line.GetProperty("input_tokens").GetInt64(), line.GetProperty("output_tokens").GetInt64()),
        };
        var order = Text("order") switch
        {
            "as given" => ShownOrder.AsGiven,
            "reversed" => ShownOrder.Reversed,
            _ => throw new FormatException(),
        };
        verdicts.TryAdd(Text("digest"), new ShownJudgement(order, judgement));
    }
}
