namespace Dpo;

/// <summary>An example as bytes: whole numbers seven bits a byte, so that most token ids take two or three.</summary>
internal static class TokenizedExampleRecord
{
    /// <summary>Appends an example.</summary>
    public static void Write(Stream stream, TokenizedExample example)
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
    public static TokenizedExample Read(byte[] bytes, int start)
    {
        using var reader = new BinaryReader(new MemoryStream(bytes, start, bytes.Length - start));
        T[]? List<T>(Func<T> read)
        {
            var count = reader.Read7BitEncodedInt() - 1;
            if (count < 0)
                return null;
            var list = new T[count];
            for (var index = 0; index < count; index++)
                list[index] = read();
            return list;
        }
        return new TokenizedExample(
            List(reader.Read7BitEncodedInt)!,
            List(() => List(reader.Read7BitEncodedInt)!)!,
            List(() => new PreferencePair(reader.Read7BitEncodedInt(), reader.Read7BitEncodedInt()))!)
        {
            Ranking = List(reader.Read7BitEncodedInt),
            Scores = List(reader.ReadSingle),
            Labels = List(reader.ReadBoolean),
            ReferenceLogProbs = List(() => List(reader.ReadSingle)!),
            MismatchedCount = reader.Read7BitEncodedInt(),
            Source = reader.ReadBoolean() ? reader.ReadString() : null,
        };
    }
}
