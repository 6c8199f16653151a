using System.Runtime.InteropServices;
using CsCheck;
using Tokenizers.DotNet;

namespace Dpo.Tests;

/// <summary>Any text has the ids that Hugging Face's own engine gives it.</summary>
public class HuggingFaceOracleTests
{
    public static TheoryData<string> Names => [.. TokenizerStyles.Names];

    [Theory]
    [MemberData(nameof(Names))]
    public void Any_text_has_the_ids_of_Hugging_Face_s_engine(string style)
    {
        // The engine comes for this machine alone.
        if (!OperatingSystem.IsLinux() || RuntimeInformation.ProcessArchitecture != Architecture.X64)
            return;
        var json = TokenizerStyles.TokenizerJson(style);
        using var folder = new TemporaryFolder();
        using var oracle = new Tokenizer(vocabPath: folder.Write("tokenizer.json", json.ToJsonString()));
        var tokenizer = TokenizerStyles.Load(style);
        // It adds what a text begins and ends with; ours leaves that to the caller.
        var added = oracle.Encode("");
        TextGen.Any.Sample(
            text =>
            {
                uint[] expected = [.. added, .. tokenizer.Encode(text, allowSpecial: true).Select(id => (uint)id)];
                Assert.Equal(expected, oracle.Encode(text));
            },
            iter: 2000, threads: 1);
    }
}
