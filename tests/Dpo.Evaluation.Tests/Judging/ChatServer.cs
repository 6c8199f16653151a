using System.Collections.Concurrent;
using System.Diagnostics;
using System.Net;
using System.Net.Sockets;
using System.Text;
using System.Text.Json;

namespace Dpo.Evaluation.Tests.Judging;

/// <summary>What a server was asked.</summary>
/// <param name="Number">Its place among all requests, from 1.</param>
/// <param name="Text">The user's message.</param>
/// <param name="Body">The whole body.</param>
/// <param name="At">When it came, since the server began.</param>
internal sealed record ChatRequest(int Number, string Text, JsonElement Body, TimeSpan At);

/// <summary>What a server answers.</summary>
internal sealed record ChatReply(string Text)
{
    public int Status { get; init; } = 200;

    public string Finish { get; init; } = "stop";

    public string? Refusal { get; init; }

    public (string Name, string Value)? Header { get; init; }

    public TimeSpan Delay { get; init; }

    /// <summary>The share of the body that is sent before the connection is cut.</summary>
    public double? CutAt { get; init; }

    /// <summary>Whether the length that is announced is that of what is sent, though it is cut.</summary>
    public bool SaysItIsWhole { get; init; }

    public static ChatReply Verdict(string choice) => new($"Comparison: one is better than the other.\nVerdict: {choice}");

    public static ChatReply Failure(int status) => new("") { Status = status };
}

/// <summary>A server on this machine that speaks OpenAI's protocol of chat completions, and counts.</summary>
internal sealed class ChatServer : IDisposable
{
    public const int InputTokens = 100, OutputTokens = 20;

    private readonly TcpListener listener = new(IPAddress.Loopback, 0);
    private readonly Func<ChatRequest, ChatReply> answer;
    private readonly CancellationTokenSource end = new();
    private readonly Stopwatch clock = Stopwatch.StartNew();
    private readonly Lock guard = new();
    private int count, open, mostAtOnce;

    public ChatServer(Func<ChatRequest, ChatReply> answer)
    {
        this.answer = answer;
        listener.Start();
        _ = AcceptAsync();
    }

    public Uri Endpoint => new($"http://127.0.0.1:{((IPEndPoint)listener.LocalEndpoint).Port}/v1");

    /// <summary>All requests, in no order.</summary>
    public ConcurrentBag<ChatRequest> Requests { get; } = [];

    /// <summary>The most requests that were open at once.</summary>
    public int MostAtOnce => mostAtOnce;

    public void Dispose()
    {
        end.Cancel();
        listener.Dispose();
        end.Dispose();
    }

    private async Task AcceptAsync()
    {
        try
        {
            while (true)
                _ = ServeAsync(await listener.AcceptTcpClientAsync(end.Token));
        }
        catch (Exception e) when (e is OperationCanceledException or SocketException or ObjectDisposedException)
        {
        }
    }

    private async Task ServeAsync(TcpClient client)
    {
        using var connection = client;
        try
        {
            var stream = client.GetStream();
            var body = await ReadAsync(stream);
            ChatReply reply;
            lock (guard)
            {
                mostAtOnce = Math.Max(mostAtOnce, ++open);
                var request = new ChatRequest(++count, body.GetProperty("messages")[0].GetProperty("content").GetString()!, body, clock.Elapsed);
                Requests.Add(request);
                reply = answer(request);
            }
            await Task.Delay(reply.Delay, end.Token);
            lock (guard)
                open--;
            var bytes = Body(reply);
            var sent = (int)(bytes.Length * (reply.CutAt ?? 1));
            var header = reply.Header is { } given ? $"{given.Name}: {given.Value}\r\n" : "";
            var length = reply.SaysItIsWhole ? sent : bytes.Length;
            await stream.WriteAsync(Encoding.ASCII.GetBytes(
                $"HTTP/1.1 {reply.Status} X\r\nContent-Type: application/json\r\nConnection: close\r\n{header}Content-Length: {length}\r\n\r\n"));
            await stream.WriteAsync(bytes.AsMemory(0, sent));
        }
        catch (Exception e) when (e is IOException or OperationCanceledException or ObjectDisposedException)
        {
            // Whoever asked is gone, or the server ends.
        }
    }

    private static async Task<JsonElement> ReadAsync(NetworkStream stream)
    {
        var read = new List<byte>();
        var head = "";
        var buffer = new byte[1 << 16];
        for (var length = int.MaxValue; read.Count < length;)
        {
            var got = await stream.ReadAsync(buffer);
            if (got == 0)
                throw new IOException("The client went away.");
            read.AddRange(buffer.AsSpan(0, got));
            var text = Encoding.ASCII.GetString([.. read]);
            if (head.Length > 0 || !text.Contains("\r\n\r\n"))
                continue;
            head = text[..(text.IndexOf("\r\n\r\n", StringComparison.Ordinal) + 4)];
            var line = head.Split("\r\n").Single(line => line.StartsWith("Content-Length:", StringComparison.OrdinalIgnoreCase));
            length = head.Length + int.Parse(line.Split(':')[1]);
        }
        return JsonDocument.Parse(read.Skip(head.Length).ToArray()).RootElement;
    }

    private static byte[] Body(ChatReply reply) => JsonSerializer.SerializeToUtf8Bytes<object>(reply.Status == 200
        ? new
        {
            id = "answer",
            @object = "chat.completion",
            created = 1,
            model = "judge",
            choices = new[]
            {
                new { index = 0, finish_reason = reply.Finish, message = new { role = "assistant", content = reply.Refusal is null ? reply.Text : null, refusal = reply.Refusal } },
            },
            usage = new { prompt_tokens = InputTokens, completion_tokens = OutputTokens, total_tokens = InputTokens + OutputTokens },
        }
        : new { error = new { message = "The server has another opinion.", type = "error" } });
}
