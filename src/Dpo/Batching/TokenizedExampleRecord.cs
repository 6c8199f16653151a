using Dpo.Data;

namespace Dpo.Batching;

/// <summary>An example as bytes: whole numbers seven bits a byte, so that most token ids take two or three.</summary>
internal static class TokenizedExampleRecord
{
    /// <summary>Appends an example.</summary>
    public static void Write(Stream stream, TrainingExample example)
    {
        using var writer = new BinaryWriter(stream, System.Text.Encoding.UTF8, leaveOpen: true);
        void List<T>(IReadOnlyList<T>? list, Action<T> write)
        {
            // 0 stands for a list that is not there.
            writer.Write7BitEncodedInt(list is null ? 0 : list.Count + 1);
            foreach (var item in list ?? [])
                write(item);
        }
        List(example.Prompt, writer.Write7BitEncodedInt);
        List(example.Completions, ids => List(ids, writer.Write7BitEncodedInt));
        List(example.Pairs, pair =>
        {
            writer.Write7BitEncodedInt(pair.Chosen);
            writer.Write7BitEncodedInt(pair.Rejected);
        });
        List(example.Ranking, writer.Write7BitEncodedInt);
        List(example.Scores, writer.Write);
        List(example.Labels, writer.Write);
        List(example.ReferenceLogProbs, values => List(values, writer.Write));
        writer.Write7BitEncodedInt(example.MismatchedCount);
        writer.Write(example.Source is not null);
        if (example.Source is not null)
            writer.Write(example.Source);
    }

    /// <summary>Reads an example that <see cref="Write"/> wrote.</summary>
    /// <exception cref="FormatException">The bytes are no example, or none that makes sense; the message follows
    /// "because".</exception>
    public static TrainingExample Read(byte[] bytes)
    {
        using var stream = new MemoryStream(bytes);
        using var reader = new BinaryReader(stream);
        try
        {
            var example = Read(new Fields(reader));
            if (stream.Position < stream.Length)
                throw new FormatException($"{stream.Length - stream.Position} bytes are left over");
            return TokenizedExampleFault.Of(example) is { } fault ? throw new FormatException(fault) : example;
        }
        catch (IOException e)
        {
            throw new FormatException("it ends too early", e); // or a text claims a negative length
        }
    }

    private static TrainingExample Read(Fields fields) => new(
        fields.Required(fields.Number),
        fields.Required<IReadOnlyList<int>>(() => fields.Required(fields.Number)),
        [])
    {
        Pairs = fields.Required(() => new PreferencePair(fields.Number(), fields.Number())),
        Ranking = fields.List(fields.Number),
        Scores = fields.List(fields.Reader.ReadSingle),
        Labels = fields.List(fields.Reader.ReadBoolean),
        ReferenceLogProbs = fields.List<IReadOnlyList<float>>(() => fields.Required(fields.Reader.ReadSingle)),
        MismatchedCount = fields.Number(),
        Source = fields.Reader.ReadBoolean() ? fields.Reader.ReadString() : null,
    };

    /// <summary>Reads numbers and lists, of which damaged bytes may claim anything.</summary>
    private sealed class Fields(BinaryReader reader)
    {
        public BinaryReader Reader => reader;

        public int Number()
        {
            try
            {
                return reader.Read7BitEncodedInt();
            }
            catch (FormatException e)
            {
                throw new FormatException("a number has too many bytes", e);
            }
        }

        /// <summary>A list; null where it says that there is none.</summary>
        public T[]? List<T>(Func<T> read)
        {
            var count = Number();
            if (count == 0)
                return null;
            // Every item takes a byte at least, so that no more is allocated than there are bytes to fill.
            if (count < 0 || count - 1 > reader.BaseStream.Length - reader.BaseStream.Position)
                throw new FormatException($"a list claims {(uint)count - 1} items, which its bytes cannot hold");
            var list = new T[count - 1];
            for (var index = 0; index < list.Length; index++)
                list[index] = read();
            return list;
        }

        public T[] Required<T>(Func<T> read) => List(read) ?? throw new FormatException("a list is missing");
    }
}
