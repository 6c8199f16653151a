using System.Text.Encodings.Web;
using System.Text.Json;

namespace Dpo;

/// <summary>Reads rows whose prompt and completions are lists of <c>{"role": …, "content": …}</c>.</summary>
internal static class ConversationRows
{
    private static readonly JsonSerializerOptions Readable = new() { Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping };

    /// <summary>The example of a row with chosen and rejected messages, unless it has nothing to train on.</summary>
    public static PreferenceExample Pair(JsonElement row, string source)
    {
        var (chosen, rejected) = (Messages(row, "chosen"), Messages(row, "rejected"));
        if (chosen.SequenceEqual(rejected))
            throw new BadRowException("identical completions");
        var hasPrompt = row.TryGetProperty("prompt", out var stated);
        List<ChatMessage> prompt;
        if (hasPrompt && stated.ValueKind != JsonValueKind.String)
        {
            prompt = Messages(row, "prompt");
        }
        else
        {
            var common = ImplicitPrompt.CommonLength(chosen, rejected);
            prompt = chosen[..common];
            (chosen, rejected) = (chosen[common..], rejected[common..]);
            if (hasPrompt && !prompt.Any(message => message.Role == ChatMessage.User && message.Content == stated.GetString()))
                throw new BadRowException("the conversations do not begin with the prompt");
        }
        return Create(prompt, [chosen, rejected], source) with { Pairs = [new PreferencePair(0, 1)] };
    }

    /// <summary>The example of a prompt and its completions, without pairs.</summary>
    public static PreferenceExample Read(JsonElement row, JsonElement[] completions, string source) => Create(
        Messages(row, "prompt"), [.. completions.Select(list => Messages(list) ?? throw new BadRowException("a completion is not a list of messages"))], source);

    private static PreferenceExample Create(List<ChatMessage> prompt, List<ChatMessage>[] completions, string source)
    {
        if (prompt.Count == 0)
            throw new BadRowException("the conversations have no prompt in common");
        if (prompt[^1].Role == ChatMessage.Assistant)
            throw new BadRowException("the prompt ends with the assistant");
        foreach (var completion in completions)
        {
            if (completion[0].Role != ChatMessage.Assistant)
                throw new BadRowException("a completion does not begin with the assistant");
            if (completion.All(message => string.IsNullOrWhiteSpace(message.Content)))
                throw new BadRowException("empty completion");
        }
        return new PreferenceExample(Json(prompt), [.. completions.Select(Json)], [])
        {
            Source = source,
            Conversation = new Conversation(prompt, completions),
        };
    }

    private static List<ChatMessage> Messages(JsonElement row, string name)
    {
        if (!row.TryGetProperty(name, out var list))
            throw new BadRowException($"no field '{name}'");
        return Messages(list) ?? throw new BadRowException($"'{name}' is not a list of messages");
    }

    private static List<ChatMessage>? Messages(JsonElement list) => list.ValueKind == JsonValueKind.Array && list.GetArrayLength() > 0
        ? [.. list.EnumerateArray().Select(message => new ChatMessage(message.Text("role"), message.Text("content")))]
        : null;

    private static string Json(List<ChatMessage> messages) =>
        JsonSerializer.Serialize(messages.Select(message => new { role = message.Role, content = message.Content }), Readable);
}
