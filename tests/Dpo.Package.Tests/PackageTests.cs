using System.Globalization;
using System.IO.Compression;
using System.Text.RegularExpressions;
using System.Xml.Linq;

namespace Dpo.Package.Tests;

public class PackageTests(PackedLibrary library) : IClassFixture<PackedLibrary>
{
    private const string Printed = "accuracy 1.00\nThe loss fell.\n";

    [Fact]
    public void Carries_the_library_its_documentation_and_its_targets_and_depends_on_nothing_native()
    {
        var (files, dependencies) = Contents(library.Package, "Dpo.nuspec");
        Assert.Equal(["Dpo.nuspec", "README.md", "buildTransitive/Dpo.targets", "lib/net10.0/Dpo.dll", "lib/net10.0/Dpo.xml"], files);
        Assert.Equal(
            ["Microsoft.Extensions.Logging.Abstractions", "Microsoft.ML.Tokenizers", "System.IO.Hashing", "System.Numerics.Tensors", "TorchSharp"],
            dependencies.Select(dependency => dependency.Id));
    }

    /// <summary>They know internals of the library, of which no other version may go with them; one takes it by another.</summary>
    [Theory]
    [InlineData("Dpo.Parquet", "Dpo", "ParquetSharp")]
    [InlineData("Dpo.Baselines", "Dpo")]
    [InlineData("Dpo.Evaluation", "Dpo.Baselines", "MathNet.Numerics", "Microsoft.Extensions.AI.Abstractions", "ScottPlot")]
    public void What_is_beside_it_are_packages_of_their_own_that_take_the_library_of_their_version(string name, params string[] needed)
    {
        var (files, dependencies) = Contents(library.PackageOf(name), $"{name}.nuspec");
        Assert.Equal([$"{name}.nuspec", "README.md", $"lib/net10.0/{name}.dll", $"lib/net10.0/{name}.xml"], files);
        Assert.Equal(needed, dependencies.Select(dependency => dependency.Id));
        Assert.Equal($"[{library.Version}]", dependencies[0].Version);
    }

    [Fact]
    public void A_program_that_references_it_and_a_backend_builds_runs_and_publishes()
    {
        var consumer = library.CreateConsumer("portable");
        consumer.DotNet("build", "-c", "Release").Succeeded();
        Assert.Equal(Printed, consumer.DotNet("run", "-c", "Release", "--no-build").Succeeded());

        consumer.DotNet("publish", "-c", "Release", "--no-build", "-o", "published").Succeeded();
        Assert.Equal(Printed, consumer.Start("published", "Consumer").Succeeded());
    }

    [Fact]
    public void Parts_of_a_researcher_s_own_are_written_against_the_package_alone()
    {
        Assert.Equal(
            "module: the loss fell\nmodel: the loss fell\npair loss: the loss fell\npreference loss: the loss fell\noptimizer: goes on as it was\n",
            Run("OwnParts"));
    }

    [Fact]
    public void An_objective_of_a_researcher_s_own_trains_evaluates_stops_and_resumes_as_DPO_does()
    {
        string Lines(string name, string refused) =>
            $"""
            {name}: eval_loss fell, eval_distance fell
            {name}: 14 steps are 5 and 9, to the bit
            {name}: cut into parts True
            {name}: stopped 3 evaluations behind the best, True that it is the model's
            {name}: another teacher or scale is refused
            {name}: {refused}

            """;
        Assert.Equal(
            Lines("distillation", "An example: nothing chosen to distil.") + Lines("regression", "An example: no scores."),
            Run("OwnObjective"));
    }

    [Fact]
    public void Rows_columns_and_chats_of_a_researcher_s_own_are_read_from_JSON_Lines_and_Parquet() =>
        Assert.Equal("rows, columns, chats: as they are\n", Run("OwnData", ("ConsumerReads", "Parquet")));

    [Fact]
    public void A_run_tells_of_every_step_and_evaluation_and_ends_where_a_researcher_wishes() =>
        Assert.Equal("steps, ends, cancellations: as they are\n", Run("Callbacks"));

    [Fact]
    public void Models_are_measured_and_sampled_without_a_trainer() =>
        Assert.Equal("log-probabilities, rewards, metrics, checkpoints, samples: as by hand\n", Run("WithoutTrainer"));

    [Fact]
    public void An_architecture_of_a_researcher_s_own_is_trained_sampled_adapted_and_saved_as_Dpo_s_are()
    {
        Assert.Equal(
            """
            shared prompts: equal
            shared prompts: equal
            training: the loss fell
            checkpoints: goes on as it was
            cache: equal
            folder: Mixture, equal
            LoRA: equal before, not equal after, equal and equal in files
            bf16: 35 matrices
            wrong/config.json: `hidden_size` is 16; it must be a multiple of num_attention_heads, 3.

            """.ReplaceLineEndings("\n"),
            Run("OwnArchitecture"));
    }

    [Fact]
    public void A_program_published_with_its_runtime_runs()
    {
        var consumer = library.CreateConsumer("self-contained");
        consumer.DotNet("publish", "--use-current-runtime", "--self-contained", "-o", "published").Succeeded();
        Assert.Equal(Printed, consumer.Start("published", "Consumer").Succeeded());
    }

    [Fact]
    public void Where_the_targets_are_turned_off_an_old_system_is_told_which_version_it_lacks()
    {
        var consumer = library.CreateConsumer("unaltered");
        consumer.Environment["DpoWeakenGlibcxx"] = "false";
        consumer.DotNet("build", "--use-current-runtime", "-o", "built").Succeeded();
        var outcome = consumer.Start("built", "Consumer");

        if (OperatingSystem.IsLinux() && !SystemLibrary.Contains("libstdc++.so.6", "GLIBCXX_3.4.32"))
        {
            Assert.NotEqual(0, outcome.ExitCode);
            Assert.Contains("DllNotFoundException: TorchSharp's native library needs the symbol version GLIBCXX_3.4.32, which ", outcome.Errors);
            Assert.Equal("", outcome.Output);
        }
        else
        {
            Assert.Equal(Printed, outcome.Succeeded());
        }
    }

    [Fact]
    public void A_program_without_a_backend_is_told_to_reference_one()
    {
        var consumer = library.CreateConsumer("no-backend");
        consumer.Environment["ConsumerBackend"] = "none";
        consumer.DotNet("build", "-o", "built").Succeeded();
        var outcome = consumer.Start("built", "Consumer");

        Assert.NotEqual(0, outcome.ExitCode);
        Assert.Contains("DllNotFoundException: TorchSharp needs LibTorch, which this program does not carry: add a reference", outcome.Errors);
        Assert.Equal("", outcome.Output);
    }

    [Fact]
    public void The_program_is_the_loop_that_the_README_shows()
    {
        var program = File.ReadAllText(Path.Combine(AppContext.BaseDirectory, "Consumer", "Program.cs")).ReplaceLineEndings("\n");
        Assert.Contains(ReadmeBlocks()[0].Replace("size: 64", "size: 2").Replace("learningRate: 5e-7", "learningRate: 1e-3"), program);
    }

    /// <summary>Each is pasted into a method of its own, whose parameters are what text and blocks before it made, unless it makes it
    /// itself.</summary>
    [Fact]
    public void Every_block_of_the_README_compiles()
    {
        (string Type, string Name)[] made =
        [
            ("string", "folder"), ("string", "file"), ("TransformerModel", "policy"), ("PolicyReferencePair", "pair"), ("DpoLoss", "dpo"),
            ("PreferenceData", "data"), ("PreferenceData", "heldOut"), ("CancellationToken", "cancellationToken"),
        ];
        string Compilable(string block, int index) => Regex.IsMatch(block, @"^[a-z ]*\bclass\b")
            ? block
            : $$"""
                static class Block{{index}}
                {
                    static {{(block.Contains("await ") ? "async Task" : "void")}} Run({{string.Join(", ", made.Where(one => !block.Contains($"var {one.Name} =")).Select(one => $"{one.Type} {one.Name}"))}})
                    {
                {{block}}
                    }
                }
                """;

        var blocks = ReadmeBlocks();
        Assert.True(blocks.Length > 1);
        var consumer = library.CreateConsumer("readme");
        consumer.Environment["ConsumerBackend"] = "none";
        consumer.Environment["ConsumerCompares"] = "true";
        File.WriteAllText(
            Path.Combine(consumer.Folder, "Readme.cs"),
            "using Dpo.Baselines;\nusing Dpo.Evaluation.Judging;\nusing Dpo.Evaluation.Measuring;\nusing Dpo.Evaluation.Reporting;\n" +
            $"using Dpo.Evaluation.Statistics;\nusing static TorchSharp.torch;\n\n{string.Join("\n\n", blocks.Select(Compilable))}\n");
        consumer.DotNet("build").Succeeded();
    }

    /// <summary>The bandit's page: its program, pasted into a project, prints what the page says, but for a number's last
    /// digits.</summary>
    [Fact]
    public void The_program_of_the_bandit_prints_what_its_page_says()
    {
        var page = File.ReadAllText(Path.Combine(PackedLibrary.Repository, "docs", "bandit.md")).ReplaceLineEndings("\n");
        string Block(string kind) => page.Split($"```{kind}\n")[1].Split("```")[0];
        var consumer = library.CreateConsumer("bandit");
        consumer.Environment["ConsumerCompares"] = "true";
        File.WriteAllText(Path.Combine(consumer.Folder, "Program.cs"), Block("csharp"));
        var (expected, printed) = (Block("text"), consumer.DotNet("run", "-c", "Release").Succeeded());
        const string number = @"-?\d+\.\d{3}";
        static string Words(string text) => Regex.Replace(Regex.Replace(text, number, "0"), " +", " ");
        Assert.Equal(Words(expected), Words(printed));
        double[] Numbers(string text) =>
            [.. Regex.Matches(text, number).Select(match => double.Parse(match.Value, CultureInfo.InvariantCulture))];
        foreach (var (one, other) in Numbers(expected).Zip(Numbers(printed)))
            Assert.Equal(one, other, 0.01);
    }

    /// <summary>Runs another program than the consumer's.</summary>
    /// <returns>What it printed.</returns>
    private string Run(string program, params (string Name, string Value)[] properties)
    {
        var consumer = library.CreateConsumer(program, program);
        foreach (var (name, value) in properties)
            consumer.Environment[name] = value;
        return consumer.DotNet("run", "-c", "Release").Succeeded();
    }

    /// <summary>What is in a package, and what it depends on, both in order.</summary>
    private static (string[] Files, (string Id, string Version)[] Dependencies) Contents(string path, string description)
    {
        using var package = ZipFile.OpenRead(path);
        var files = package.Entries.Select(entry => entry.FullName).Where(name =>
            name[0] != '_' && name[0] != '[' && !name.StartsWith("package/", StringComparison.Ordinal));
        using var nuspec = package.GetEntry(description)!.Open();
        var elements = XDocument.Load(nuspec).Descendants().ToList();
        Assert.Equal("MIT", elements.Single(element => element.Name.LocalName == "license").Value);
        var dependencies = elements.Where(element => element.Name.LocalName == "dependency")
            .Select(element => ((string)element.Attribute("id")!, (string)element.Attribute("version")!));
        return ([.. files.Order(StringComparer.Ordinal)], [.. dependencies.Order()]);
    }

    /// <summary>What the README that is in the package shows in C#.</summary>
    private string[] ReadmeBlocks()
    {
        using var package = ZipFile.OpenRead(library.Package);
        using var reader = new StreamReader(package.GetEntry("README.md")!.Open());
        return [.. reader.ReadToEnd().ReplaceLineEndings("\n").Split("```csharp\n").Skip(1).Select(part => part.Split("```")[0])];
    }
}
