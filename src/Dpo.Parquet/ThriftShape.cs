namespace Dpo;

/// <summary>What a value of Thrift's compact protocol is made of, and the values of parquet.thrift that Parquet.Net 6.1 reads.</summary>
/// <param name="Wire">The number of the type that stands in front of it.</param>
internal sealed record ThriftShape(int Wire)
{
    public const int ListWire = 9;
    public const int StructWire = 12;

    private static readonly ThriftShape Flag = new(1);
    private static readonly ThriftShape Byte = new(3);
    private static readonly ThriftShape Int = new(6);
    private static readonly ThriftShape Double = new(7);
    private static readonly ThriftShape Binary = new(8);
    private static readonly ThriftShape Empty = Struct();

    private static readonly ThriftShape Statistics = Struct(
        (1, Binary), (2, Binary), (3, Int), (4, Int), (5, Binary), (6, Binary), (7, Flag), (8, Flag));

    private static readonly ThriftShape Time = Struct((1, Flag), (2, Struct((1, Empty), (2, Empty), (3, Empty))));

    private static readonly ThriftShape LogicalType = Struct(
        (1, Empty), (2, Empty), (3, Empty), (4, Empty), (5, Struct((1, Int), (2, Int))), (6, Empty), (7, Time), (8, Time),
        (10, Struct((1, Byte), (2, Flag))), (11, Empty), (12, Empty), (13, Empty), (14, Empty), (15, Empty), (16, Struct((1, Byte))),
        (17, Struct((1, Binary))), (18, Struct((1, Binary), (2, Int))));

    private static readonly ThriftShape SchemaElement = Struct(
        (1, Int), (2, Int), (3, Int), (4, Binary), (5, Int), (6, Int), (7, Int), (8, Int), (9, Int), (10, LogicalType));

    private static readonly ThriftShape KeyValues = List(Struct((1, Binary), (2, Binary)));

    private static readonly ThriftShape ColumnMetaData = Struct(
        (1, Int), (2, List(Int)), (3, List(Binary)), (4, Int), (5, Int), (6, Int), (7, Int), (8, KeyValues), (9, Int), (10, Int), (11, Int),
        (12, Statistics), (13, List(Struct((1, Int), (2, Int), (3, Int)))), (14, Int), (15, Int),
        (16, Struct((1, Int), (2, List(Int)), (3, List(Int)))),
        (17, Struct((1, Struct([.. Enumerable.Range(1, 8).Select(id => (id, Double))])), (2, List(Int)))));

    private static readonly ThriftShape ColumnChunk = Struct(
        (1, Binary), (2, Int), (3, ColumnMetaData), (4, Int), (5, Int), (6, Int), (7, Int),
        (8, Struct((1, Empty), (2, Struct((1, List(Binary)), (2, Binary))))), (9, Binary));

    private static readonly ThriftShape RowGroup = Struct(
        (1, List(ColumnChunk)), (2, Int), (3, Int), (4, List(Struct((1, Int), (2, Flag), (3, Flag)))), (5, Int), (6, Int), (7, Int));

    private static readonly ThriftShape Cipher = Struct((1, Binary), (2, Binary), (3, Flag));

    /// <summary>The footer of a file (<c>FileMetaData</c>).</summary>
    public static ThriftShape FileMetaData { get; } = Struct(
        (1, Int), (2, List(SchemaElement)), (3, Int), (4, List(RowGroup)), (5, KeyValues), (6, Binary), (7, List(Struct((1, Empty)))),
        (8, Struct((1, Cipher), (2, Cipher))), (9, Binary));

    /// <summary>What stands in front of a page (<c>PageHeader</c>).</summary>
    public static ThriftShape PageHeader { get; } = Struct(
        (1, Int), (2, Int), (3, Int), (4, Int), (5, Struct((1, Int), (2, Int), (3, Int), (4, Int), (5, Statistics))), (6, Empty),
        (7, Struct((1, Int), (2, Int), (3, Flag))),
        (8, Struct((1, Int), (2, Int), (3, Int), (4, Int), (5, Int), (6, Int), (7, Flag), (8, Statistics))));

    /// <summary>What a list holds.</summary>
    public ThriftShape? Item { get; private init; }

    /// <summary>The fields of a struct by their ids; others may stand beside them.</summary>
    public IReadOnlyDictionary<int, ThriftShape> Fields { get; private init; } = new Dictionary<int, ThriftShape>();

    /// <summary>Whether a value announced as of a type can be of this shape.</summary>
    public bool Fits(int wire) => wire == Wire || (this == Flag && wire == 2) || (this == Int && wire is 4 or 5);

    private static ThriftShape List(ThriftShape item) => new(ListWire) { Item = item };

    private static ThriftShape Struct(params (int Id, ThriftShape Shape)[] fields) =>
        new(StructWire) { Fields = fields.ToDictionary(field => field.Id, field => field.Shape) };
}
