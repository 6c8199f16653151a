using System.Text.Encodings.Web;
using System.Text.Json;

namespace Dpo;

/// <summary>Reads rows whose prompt and completions are lists of <c>{"role": …, "content": …}</c>.</summary>
internal static class ConversationRows
{
    private static readonly JsonSerializerOptions Readable = new() { Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping };

    /// <summary>The example of a row, unless it has nothing to train on.</summary>
    public static PreferenceExample Read(JsonElement row, string source)
    {
        var (chosen, rejected) = (Messages(row, "chosen"), Messages(row, "rejected"));
        if (chosen.SequenceEqual(rejected))
            throw new BadRowException("identical completions");
        List<ChatMessage> prompt;
        if (row.TryGetProperty("prompt", out _))
        {
            prompt = Messages(row, "prompt");
        }
        else
        {
            var common = ImplicitPrompt.CommonLength(chosen, rejected);
            prompt = chosen[..common];
            (chosen, rejected) = (chosen[common..], rejected[common..]);
        }
        if (prompt.Count == 0)
            throw new BadRowException("the conversations have no prompt in common");
        if (prompt[^1].Role == ChatMessage.Assistant)
            throw new BadRowException("the prompt ends with the assistant");
        foreach (var completion in new[] { chosen, rejected })
        {
            if (completion[0].Role != ChatMessage.Assistant)
                throw new BadRowException("a completion does not begin with the assistant");
            if (completion.All(message => string.IsNullOrWhiteSpace(message.Content)))
                throw new BadRowException("empty completion");
        }
        return new PreferenceExample(Json(prompt), Json(chosen), Json(rejected))
        {
            Source = source,
            Conversation = new Conversation(prompt, [chosen, rejected]),
        };
    }

    private static List<ChatMessage> Messages(JsonElement row, string name)
    {
        if (!row.TryGetProperty(name, out var list))
            throw new BadRowException($"no field '{name}'");
        if (list.ValueKind != JsonValueKind.Array || list.GetArrayLength() == 0)
            throw new BadRowException($"'{name}' is not a list of messages");
        return [.. list.EnumerateArray().Select(message => new ChatMessage(message.Text("role"), message.Text("content")))];
    }

    private static string Json(List<ChatMessage> messages) =>
        JsonSerializer.Serialize(messages.Select(message => new { role = message.Role, content = message.Content }), Readable);
}
