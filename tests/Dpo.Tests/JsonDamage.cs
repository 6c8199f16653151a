using System.Text.Json.Nodes;
using CsCheck;

namespace Dpo.Tests;

/// <summary>JSON documents damaged at random: values of another kind, fields gone, renamed or given twice, bytes changed.</summary>
internal static class JsonDamage
{
    private static readonly string[] Values =
    [
        "null", "true", "false", "0", "1", "-1", "7", "300", "2147483647", "9999", "16777216", "0.5", "-0.0", "1e300", "1e-300",
        "\"\"", "\" \"", "\"a\"", "\"Sequence\"", "\"Split\"", "\"NFC\"", "\"ByteLevel\"", "\"Metaspace\"", "\"Fuse\"", "\"Isolated\"", "\"▁\"",
        "\"\\u0000\"", "\"\U0001F600\"", "\"(a|\"", "\"[^\"", "\"\\\\p{L}+\"", "\"a{2,1}\"", "\"<unk>\"",
        "[]", "[1, \"a\", null]", "{}", "{\"type\": \"Sequence\", \"String\": \"a\"}",
        string.Concat(Enumerable.Repeat("{\"type\": \"Sequence\", \"normalizers\": [", 25)) + string.Concat(Enumerable.Repeat("]}", 25)),
    ];

    private static readonly Gen<Func<JsonNode?>> Value =
        Gen.Int[0, Values.Length - 1].Select(index => (Func<JsonNode?>)(() => JsonNode.Parse(Values[index])));

    private static readonly string[] Pieces = ["", "\"", "{", "}", "[", ",", ":", "\\ud800", "\\", "0", "\u0007", "é"];

    /// <summary>The text of a document with one to three changes.</summary>
    /// <param name="document">The document.</param>
    /// <param name="seldom">Names of objects and arrays whose many members are changed no more often than one field.</param>
    public static Gen<string> Of(JsonNode document, params string[] seldom)
    {
        var change = Gen.Select(Gen.UInt, Gen.Int[0, 5], Value);
        var bytes = Gen.Select(Gen.UInt, Gen.Int[0, Pieces.Length - 1]);
        return Gen.Select(change.Array[1, 3], bytes.Array[0, 2], Gen.Int[0, 3]).Select((changes, damages, kind) =>
        {
            var root = document.DeepClone();
            foreach (var (place, what, value) in changes)
                Change(root, place, what, value, seldom);
            var text = root.ToJsonString();
            // Most documents stay JSON, or no reader would see what is in them.
            foreach (var (place, piece) in kind == 0 ? damages : [])
            {
                var at = (int)(place % (uint)(text.Length + 1));
                text = text[..at] + Pieces[piece] + text[Math.Min(text.Length, at + 1)..];
            }
            return text;
        });
    }

    private static void Change(JsonNode root, uint place, int what, Func<JsonNode?> value, string[] seldom)
    {
        var containers = new List<JsonNode>();
        Collect(root, containers, seldom);
        var container = containers[(int)(place % (uint)containers.Count)];
        var member = (int)(place / 65_521 % 1009);
        if (container is JsonArray array)
        {
            if (array.Count == 0 || what == 0)
                array.Add(value());
            else if (what == 1)
                array.RemoveAt(member % array.Count);
            else if (what == 2)
                array.Insert(0, array[member % array.Count]?.DeepClone());
            else
                array[member % array.Count] = value();
            return;
        }
        var fields = (JsonObject)container;
        if (fields.Count == 0 || what == 0)
        {
            fields["type"] = value();
            return;
        }
        var name = fields.ElementAt(member % fields.Count).Key;
        var old = fields[name];
        if (what is 1 or 2)
            fields.Remove(name);
        if (what == 2)
            fields["x" + name] = old;
        if (what > 2)
            fields[name] = value();
    }

    private static void Collect(JsonNode node, List<JsonNode> containers, string[] seldom)
    {
        containers.Add(node);
        var children = node is JsonObject fields
            ? fields.Where(field => !seldom.Contains(field.Key) || AddLeaf(field.Value)).Select(field => field.Value)
            : ((JsonArray)node).AsEnumerable();
        foreach (var child in children)
        {
            if (child is JsonObject or JsonArray)
                Collect(child, containers, seldom);
        }
        bool AddLeaf(JsonNode? leaf)
        {
            if (leaf is JsonObject or JsonArray)
                containers.Add(leaf);
            return false;
        }
    }
}
