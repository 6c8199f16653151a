using System.Text;

namespace Dpo.Files;

/// <summary>
/// Finds models that are named as on the Hugging Face hub (<c>EleutherAI/pythia-2.8b</c>) in the local cache that its own tools
/// download to. Nothing is downloaded here.
/// </summary>
/// <remarks>The cache is <c>$HF_HUB_CACHE</c>, else <c>$HF_HOME/hub</c>, else <c>$XDG_CACHE_HOME/huggingface/hub</c>, else
/// <c>~/.cache/huggingface/hub</c>; a model's files lie in <c>models--org--name/snapshots/COMMIT</c>, with the commit named by
/// <c>models--org--name/refs/main</c>.</remarks>
internal static class HubCache
{
    private const int LongestReference = 1000;

    /// <summary>The folder of a model.</summary>
    /// <param name="model">A folder, or a name as on the hub. A folder of that name wins.</param>
    /// <param name="environment">The value of an environment variable; the process's where it is null.</param>
    /// <returns>A folder that exists; or what was given, where it can be nothing but a folder's name.</returns>
    /// <exception cref="InvalidInputException">The cache lacks the model; the message says how to download it.</exception>
    public static string Resolve(string model, Func<string, string?>? environment = null)
    {
        ArgumentNullException.ThrowIfNull(model);
        var parts = model.Split('/');
        if (Directory.Exists(model) || parts.Length > 2 || !parts.All(IsName))
            return model;
        var cache = Folder(environment ?? Environment.GetEnvironmentVariable);
        var entry = Path.Combine(cache, "models--" + string.Join("--", parts));
        var reference = Path.Combine(entry, "refs", "main");
        var commit = File.Exists(reference)
            ? Encoding.UTF8.GetString(RegularFile.ReadAllBytes(reference, LongestReference)).Trim()
            : null;
        if (commit is not null && IsName(commit) && Path.Combine(entry, "snapshots", commit) is var snapshot
            && Directory.Exists(snapshot))
            return snapshot;
        throw new InvalidInputException(
            $"{model}: there is no such folder, and the Hugging Face cache {cache} holds no such model; give a model folder, " +
            $"or download the model with `hf download {model}`.");
    }

    private static string Folder(Func<string, string?> environment)
    {
        string? Variable(string name) => environment(name) is { Length: > 0 } value ? value : null;
        var home = Environment.GetFolderPath(Environment.SpecialFolder.UserProfile);
        return Variable("HF_HUB_CACHE")
            ?? Path.Combine(
                Variable("HF_HOME") ?? Path.Combine(Variable("XDG_CACHE_HOME") ?? Path.Combine(home, ".cache"), "huggingface"),
                "hub");
    }

    /// <summary>Whether this can be a part of a name on the hub; no path goes up or down through one.</summary>
    private static bool IsName(string part) =>
        part.Length is > 0 and <= 96 && part.All(c => char.IsAsciiLetterOrDigit(c) || c is '-' or '_' or '.')
            && char.IsAsciiLetterOrDigit(part[0]);
}
