namespace Dpo;

/// <summary>
/// Walks over a struct of Thrift's compact protocol before Parquet.Net reads it. That reads fields by their ids, whatever type they
/// are announced as, and where the bytes end amid a number, for ever; and it makes room for as many items as a damaged list claims.
/// </summary>
/// <remarks>Takes the same way through the bytes as Parquet.Net 6.1 does, or refuses them.</remarks>
/// <param name="stream">Is read from where it stands.</param>
/// <param name="limit">How many bytes there are.</param>
internal sealed class ThriftWalk(Stream stream, long limit)
{
    private const int DeepestList = 16;

    private readonly Dictionary<(int Parent, int Id), long> numbers = [];

    /// <summary>The bytes walked over.</summary>
    public long Length { get; private set; }

    /// <summary>A number of the struct, <c>this[0, 3]</c> of field 3, or of a struct within, <c>this[5, 1]</c> of field 1 of field 5;
    /// 0 where it is missing.</summary>
    public long this[int parent, int id] => numbers.GetValueOrDefault((parent, id));

    /// <summary>Walks over a struct.</summary>
    /// <exception cref="InvalidDataException">It is not of its shape, or does not end within the bytes.</exception>
    public void Struct(ThriftShape shape, int parent = 0)
    {
        for (var id = 0; Byte() is var header and not 0;)
        {
            var wire = header & 0xF;
            id = header >> 4 > 0 ? id + (header >> 4) : Number() is >= 0 and <= short.MaxValue and var named ? (int)named : throw Damaged();
            if (!shape.Fields.TryGetValue(id, out var field))
                Skip(wire);
            else if (field.Fits(wire))
                Value(field, parent, id);
            else
                throw Damaged();
        }
    }

    private void Value(ThriftShape shape, int parent, int id)
    {
        if (shape.Wire == ThriftShape.StructWire)
        {
            Struct(shape, id);
        }
        else if (shape.Wire == ThriftShape.ListWire)
        {
            var (count, wire) = ListHeader();
            if (count > 0 && !shape.Item!.Fits(wire))
                throw Damaged();
            for (; count > 0; count--)
                Value(shape.Item!, parent, id);
        }
        else if (shape.Fits(4))
        {
            numbers[(parent, id)] = Number();
        }
        else
        {
            Skip(shape.Wire);
        }
    }

    /// <summary>Walks over a value that Parquet.Net does not know, as it does itself: of a struct it reads the fields' headers only.</summary>
    private void Skip(int wire, int depth = 0)
    {
        switch (wire)
        {
            case 1 or 2:
                break;
            case 3:
                Byte();
                break;
            case 4 or 5 or 6:
                Number();
                break;
            case 7:
                Bytes(8);
                break;
            case 8:
                Bytes((uint)Varint());
                break;
            case ThriftShape.ListWire when depth < DeepestList:
                var (count, item) = ListHeader();
                for (; count > 0; count--)
                    Skip(item, depth + 1);
                break;
            case ThriftShape.StructWire:
                while (Byte() is var header and not 0)
                {
                    if (header >> 4 == 0)
                        Number();
                }
                break;
            default:
                throw Damaged();
        }
    }

    private (long Count, int Wire) ListHeader()
    {
        var header = Byte();
        var count = header >> 4 == 15 ? (long)(uint)Varint() : header >> 4;
        return count <= limit - Length ? (count, header & 0xF) : throw Damaged();
    }

    private long Number()
    {
        var value = Varint();
        return (long)(value >> 1) ^ -(long)(value & 1);
    }

    private ulong Varint()
    {
        var value = 0UL;
        for (var shift = 0; shift < 70; shift += 7)
        {
            var part = Byte();
            value |= (ulong)(part & 0x7F) << shift;
            if (part < 0x80)
                return value;
        }
        throw Damaged();
    }

    private void Bytes(long count)
    {
        if (count > limit - Length)
            throw Damaged();
        for (; count > 0; count--)
            Byte();
    }

    private int Byte() => Length++ < limit ? stream.ReadByte() : throw Damaged();

    private static InvalidDataException Damaged() => new("what it says of its columns is damaged");
}
