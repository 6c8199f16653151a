using System.Text.Encodings.Web;
using System.Text.Json;

namespace Dpo.Data;

/// <summary>Reads rows whose prompt and completions are lists of <c>{"role": …, "content": …}</c>.</summary>
internal static class ConversationRows
{
    private static readonly JsonSerializerOptions Readable = new() { Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping };

    /// <summary>The example of a row with chosen and rejected messages, unless it has nothing to train on.</summary>
    public static PreferenceExample Pair(DataRow row)
    {
        var (chosen, rejected) = (Messages(row, "chosen"), Messages(row, "rejected"));
        if (chosen.SequenceEqual(rejected))
            throw new BadRowException("identical completions");
        var stated = row.Prompt;
        List<ChatMessage> prompt;
        if (stated?.Messages is not null)
        {
            prompt = Messages(stated);
        }
        else
        {
            var common = ImplicitPrompt.CommonLength(chosen, rejected);
            prompt = chosen[..common];
            (chosen, rejected) = (chosen[common..], rejected[common..]);
            if (stated is not null
                && !prompt.Any(message => message.Role == ChatMessage.User && message.Content == stated.Question))
                throw new BadRowException("the conversations do not begin with the prompt");
            if (stated is null && prompt.All(message => message.Role != ChatMessage.User))
                StrayPrompt.Refuse(row, string.Join('\n', prompt.Select(message => message.Content)));
        }
        return Create(prompt, [chosen, rejected], row.Source) with { Pairs = [new PreferencePair(0, 1)] };
    }

    /// <summary>The example of a prompt and its completions, without pairs.</summary>
    public static PreferenceExample Read(DataRow row, JsonElement[] completions) => Create(
        Messages(row.RequiredPrompt),
        [.. completions.Select(list => Messages(list) ?? throw new BadRowException("a completion is not a list of messages"))],
        row.Source);

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

    private static List<ChatMessage> Messages(DataRow row, string field) =>
        Messages(row.Get(field)) ?? throw new BadRowException($"'{field}' is not a list of messages");

    /// <summary>The messages of a prompt, behind what the system says.</summary>
    private static List<ChatMessage> Messages(RowPrompt prompt)
    {
        var messages = (prompt.Messages is { } list ? Messages(list) : null)
            ?? throw new BadRowException($"'{prompt.Name}' is not a list of messages");
        return !string.IsNullOrWhiteSpace(prompt.System) && messages.All(message => message.Role != ChatMessage.System)
            ? [new ChatMessage(ChatMessage.System, prompt.System), .. messages]
            : messages;
    }

    private static List<ChatMessage>? Messages(JsonElement list) =>
        list.ValueKind == JsonValueKind.Array && list.GetArrayLength() > 0
            ? [.. list.EnumerateArray().Select(message => new ChatMessage(message.Text("role"), message.Text("content")))]
            : null;

    private static string Json(List<ChatMessage> messages) =>
        JsonSerializer.Serialize(messages.Select(message => new { role = message.Role, content = message.Content }), Readable);
}
