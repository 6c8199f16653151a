using System.Buffers.Binary;
using System.Text;
using System.Text.Unicode;

namespace Dpo.Weights;

/// <summary>
/// Reads a pickle without executing anything: the opcodes of a plain state dict as <c>torch.save</c> writes it, protocol 2.
/// Every other opcode is refused by name, and what a name stands for is <see cref="StateDictGlobals"/>' business.
/// </summary>
/// <remarks>
/// A pickle is a program for a stack machine. Here every value is null, a <see cref="bool"/>, <see cref="long"/> or
/// <see cref="string"/>, an <c>object?[]</c> (a tuple), an <see cref="OrderedDictionary{TKey, TValue}"/> of strings (a dict), or
/// what <see cref="StateDictGlobals"/> makes. Each opcode makes at most one value no larger than its own bytes or of values
/// that it takes away, so memory stays in proportion to the pickle's length.
/// </remarks>
internal sealed class PickleMachine
{
    private readonly string path;
    private readonly byte[] code;
    private readonly List<object?> stack = [];
    private readonly Stack<int> marks = [];
    private readonly Dictionary<uint, object?> memo = [];
    private int position;
    private int opcodePosition;

    private PickleMachine(string path, byte[] code)
    {
        this.path = path;
        this.code = code;
    }

    /// <summary>The value the pickle leaves; <paramref name="path"/> begins the message of every error.</summary>
    public static object? Run(string path, byte[] code) => new PickleMachine(path, code).Run();

    private object? Run()
    {
        while (true)
        {
            opcodePosition = position;
            var opcode = (PickleOpcode)Take(1)[0];
            if (opcode == PickleOpcode.STOP)
                return Pop();
            Execute(opcode);
        }
    }

    // As long as the list of opcodes, of which each is a line or two: taken apart it would be harder to look one up.
    private void Execute(PickleOpcode opcode)
    {
        switch (opcode)
        {
            case PickleOpcode.PROTO:
                if (Take(1)[0] is not 2 and var protocol)
                    throw Error($"is written in protocol {protocol}, where torch.save writes 2");
                break;
            case PickleOpcode.MARK:
                marks.Push(stack.Count);
                break;

            case PickleOpcode.NONE:
                stack.Add(null);
                break;
            case PickleOpcode.NEWTRUE:
                stack.Add(true);
                break;
            case PickleOpcode.NEWFALSE:
                stack.Add(false);
                break;
            case PickleOpcode.BININT:
                stack.Add((long)BinaryPrimitives.ReadInt32LittleEndian(Take(4)));
                break;
            case PickleOpcode.BININT1:
                stack.Add((long)Take(1)[0]);
                break;
            case PickleOpcode.BININT2:
                stack.Add((long)BinaryPrimitives.ReadUInt16LittleEndian(Take(2)));
                break;
            case PickleOpcode.LONG1:
                stack.Add(Long(Take(Take(1)[0])));
                break;
            case PickleOpcode.BINUNICODE:
                stack.Add(Utf8Text(Take(BinaryPrimitives.ReadUInt32LittleEndian(Take(4)))));
                break;

            case PickleOpcode.EMPTY_TUPLE:
                stack.Add(Array.Empty<object?>());
                break;
            case PickleOpcode.TUPLE1:
                stack.Add(PopMany(1));
                break;
            case PickleOpcode.TUPLE2:
                stack.Add(PopMany(2));
                break;
            case PickleOpcode.TUPLE3:
                stack.Add(PopMany(3));
                break;
            case PickleOpcode.TUPLE:
                stack.Add(PopToMark());
                break;
            case PickleOpcode.EMPTY_DICT:
                stack.Add(new OrderedDictionary<string, object?>());
                break;
            case PickleOpcode.SETITEM:
                SetItems(PopMany(2));
                break;
            case PickleOpcode.SETITEMS:
                SetItems(PopToMark());
                break;

            case PickleOpcode.BINPUT:
                memo[Take(1)[0]] = Top();
                break;
            case PickleOpcode.LONG_BINPUT:
                memo[BinaryPrimitives.ReadUInt32LittleEndian(Take(4))] = Top();
                break;
            case PickleOpcode.BINGET:
                stack.Add(Remembered(Take(1)[0]));
                break;
            case PickleOpcode.LONG_BINGET:
                stack.Add(Remembered(BinaryPrimitives.ReadUInt32LittleEndian(Take(4))));
                break;

            case PickleOpcode.GLOBAL:
                var name = $"{Utf8Text(Line())}.{Utf8Text(Line())}";
                stack.Add(StateDictGlobals.Find(name) ?? throw Error(
                    $"names {name}, which a plain state dict has no need of. Dpo reads tensors and executes nothing from a " +
                    "file: save only the state dict, best as model.safetensors"));
                break;
            case PickleOpcode.BINPERSID:
                stack.Add(StateDictGlobals.Storage(Pop()) ?? throw Error("names a storage in a way torch.save does not"));
                break;
            case PickleOpcode.REDUCE:
                var arguments = Pop() as object?[];
                stack.Add(StateDictGlobals.Call(Pop(), arguments) ?? throw Error("makes a value in a way torch.save does not"));
                break;
            case PickleOpcode.BUILD:
                // What a state dict carries beside its tensors: versions of its modules, which nothing here depends on.
                if (Pop() is not OrderedDictionary<string, object?> || Top() is not OrderedDictionary<string, object?>)
                    throw Error("sets the attributes of something else than a dict");
                break;
            default:
                throw Error($"has the opcode {Name(opcode)}, which a plain state dict has no need of");
        }
    }

    private static string Name(PickleOpcode opcode) =>
        Enum.IsDefined(opcode) ? opcode.ToString() : $"0x{(byte)opcode:X2}";

    private ReadOnlySpan<byte> Take(uint count)
    {
        if (count > code.Length - position)
            throw Error("ends in the middle of this opcode");
        position += (int)count;
        return code.AsSpan(position - (int)count, (int)count);
    }

    private ReadOnlySpan<byte> Line()
    {
        var length = code.AsSpan(position).IndexOf((byte)'\n');
        if (length < 0)
            throw Error("ends in the middle of this opcode");
        return Take((uint)length + 1)[..length];
    }

    private string Utf8Text(ReadOnlySpan<byte> bytes) =>
        Utf8.IsValid(bytes) ? Encoding.UTF8.GetString(bytes) : throw Error("holds a text that is not UTF-8");

    /// <summary>A whole number of any length up to eight bytes, little-endian, in two's complement.</summary>
    private long Long(ReadOnlySpan<byte> bytes)
    {
        if (bytes.Length > 8)
            throw Error("holds a whole number of more than 64 bits");
        var value = bytes.Length > 0 && (sbyte)bytes[^1] < 0 ? -1L : 0;
        for (var index = bytes.Length - 1; index >= 0; index--)
            value = (value << 8) | bytes[index];
        return value;
    }

    private int Bottom => marks.Count > 0 ? marks.Peek() : 0;

    private object? Top() => stack.Count > Bottom ? stack[^1] : throw Error("takes a value that was never made");

    private object? Pop() => PopMany(1)[0];

    private object?[] PopMany(int count)
    {
        if (stack.Count - count < Bottom)
            throw Error("takes a value that was never made");
        var values = stack.GetRange(stack.Count - count, count).ToArray();
        stack.RemoveRange(stack.Count - count, count);
        return values;
    }

    private object?[] PopToMark()
    {
        if (marks.Count == 0)
            throw Error("goes back to a mark that was never set");
        var values = PopMany(stack.Count - marks.Peek());
        marks.Pop();
        return values;
    }

    private void SetItems(object?[] items)
    {
        if (Top() is not OrderedDictionary<string, object?> dict || items.Length % 2 != 0)
            throw Error("adds to something else than a dict");
        for (var index = 0; index < items.Length; index += 2)
            dict[items[index] as string ?? throw Error("has a dict with a key that is no text")] = items[index + 1];
    }

    private object? Remembered(uint index) =>
        memo.TryGetValue(index, out var value) ? value : throw Error("recalls a value that was never kept");

    private InvalidInputException Error(string problem) =>
        new($"{path}: its pickle, at byte {opcodePosition}, {problem}.");
}
