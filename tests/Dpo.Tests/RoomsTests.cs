using System.Text.RegularExpressions;
using System.Xml.Linq;
using Mono.Cecil;
using Mono.Cecil.Rocks;

namespace Dpo.Tests;

/// <summary>The library's rooms, which are its namespaces and its folders: each knows only those before it, in code and in its
/// documentation.</summary>
public partial class RoomsTests
{
    /// <summary>In order; a namespace that is not listed belongs to the longest one that it begins with. What a room is for is in
    /// the README's list.</summary>
    private static readonly string[] rooms =
    [
        "Dpo", "Dpo.Files", "Dpo.Native", "Dpo.Layout", "Dpo.Data", "Dpo.Tokenization.ChatTemplates", "Dpo.Tokenization", "Dpo.Batching", "Dpo.Weights",
        "Dpo.Models.Attentions", "Dpo.Models.Layers", "Dpo.Models", "Dpo.Models.Lora", "Dpo.Models.Architectures",
        "Dpo.LogProbs", "Dpo.Losses", "Dpo.Generation", "Dpo.Optimizers",
        "Dpo.Training.Checkpointing", "Dpo.Training", "Dpo.Training.Metrics", "Dpo.Training.Reference",
    ];

    private static readonly string assembly = typeof(InvalidInputException).Assembly.Location;

    [Fact]
    public void Each_knows_only_those_before_it()
    {
        using var module = ModuleDefinition.ReadModule(assembly);
        var types = module.GetAllTypes().ToDictionary(type => type.FullName.Replace('/', '.'));
        var links = types.Values.Where(type => IsOurs(type)).SelectMany(type => Known(type).Where(IsOurs).Select(known => (type.FullName, known.FullName, From: Room(type), To: Room(known))))
            .Concat(Documented(types));
        string[] wrong =
        [
            .. links.Where(link => Array.IndexOf(rooms, link.To) is var to && (to < 0 || to > Array.IndexOf(rooms, link.From)))
                .Select(link => $"{Outermost(link.Item1)} of {link.From} knows {Outermost(link.Item2)} of {link.To}").Distinct().Order(StringComparer.Ordinal),
        ];
        Assert.True(wrong.Length == 0,
            $"{string.Join('\n', wrong)}\nA room knows only those before it: {string.Join(", ", rooms)}. Pass what is needed as an argument, move the " +
            "type to the room that uses it, or have the lower room define what the upper one implements.");
    }

    [Fact]
    public void The_README_lists_them_in_order()
    {
        var listed = Row().Matches(File.ReadAllText(Path.Combine(AppContext.BaseDirectory, "README.md")).Split("| folder | what lives there |")[1]);
        Assert.Equal(
            rooms.Where(room => room != "Dpo").Select(room => room.Split('.')[1]).Distinct(),
            listed.Select(row => row.Groups[1].Value));
    }

    private static bool IsOurs(TypeReference type) => IsWithin(Room(type), "Dpo");

    /// <summary>The longest of the list that a type's namespace begins with; a namespace that is in none stands for
    /// itself.</summary>
    private static string Room(TypeReference type) => type.DeclaringType is { } outer
        ? Room(outer)
        : rooms.Where(room => room != "Dpo" && IsWithin(type.Namespace, room)).MaxBy(room => room.Length) ?? type.Namespace;

    private static bool IsWithin(string name, string room) =>
        name == room || name.StartsWith(room + ".", StringComparison.Ordinal);

    private static string Outermost(string name) => name.Split('/')[0];

    /// <summary>Every type that a type's declaration or code names.</summary>
    private static IEnumerable<TypeReference> Known(TypeDefinition type)
    {
        IEnumerable<TypeReference?> declared =
        [
            type.BaseType, .. type.Interfaces.Select(implemented => implemented.InterfaceType), .. type.CustomAttributes.Select(attribute => attribute.AttributeType),
            .. type.GenericParameters.SelectMany(parameter => parameter.Constraints).Select(constraint => constraint.ConstraintType),
            .. type.Fields.Select(field => field.FieldType),
            .. type.Methods.SelectMany(method => method.Parameters.Select(parameter => parameter.ParameterType).Append(method.ReturnType)),
            .. type.Methods.Where(method => method.HasBody).SelectMany(method => method.Body.Variables).Select(variable => variable.VariableType),
            .. type.Methods.Where(method => method.HasBody).SelectMany(method => method.Body.Instructions).SelectMany(instruction => instruction.Operand switch
            {
                TypeReference named => [named],
                MethodReference called => (TypeReference[])
                [
                    called.DeclaringType, called.ReturnType, .. called.Parameters.Select(parameter => parameter.ParameterType),
                    .. (called as GenericInstanceMethod)?.GenericArguments ?? [],
                ],
                FieldReference field => [field.DeclaringType, field.FieldType],
                _ => [],
            }),
        ];
        return declared.OfType<TypeReference>().SelectMany(Parts);
    }

    /// <summary>A type, and those that it is made of: the elements of an array, the arguments of a generic one.</summary>
    private static IEnumerable<TypeReference> Parts(TypeReference type) => type switch
    {
        GenericInstanceType generic => generic.GenericArguments.SelectMany(Parts).Append(generic.ElementType),
        GenericParameter or FunctionPointerType => [],
        TypeSpecification made => Parts(made.ElementType),
        _ => [type],
    };

    /// <summary>The links of the documentation, by the file that the compiler makes of it.</summary>
    private static IEnumerable<(string, string, string From, string To)> Documented(Dictionary<string, TypeDefinition> types)
    {
        foreach (var member in XDocument.Load(Path.ChangeExtension(assembly, ".xml")).Descendants("member"))
        {
            if (Named((string)member.Attribute("name")!) is not { } from)
                continue;
            foreach (var to in member.Descendants().Attributes("cref").Select(link => Named(link.Value)).OfType<TypeDefinition>())
                yield return (from.FullName, to.FullName, Room(from), Room(to));
        }

        // "M:Dpo.Losses.DpoLoss.call(...)": the longest beginning that is a type.
        TypeDefinition? Named(string id)
        {
            for (var name = Arguments().Replace(id[2..], ""); name.Contains('.'); name = name[..name.LastIndexOf('.')])
            {
                if (types.TryGetValue(name, out var type))
                    return type;
            }
            return null;
        }
    }

    [GeneratedRegex(@"^\| `(\w+)` \|", RegexOptions.Multiline)]
    private static partial Regex Row();

    [GeneratedRegex(@"\(.*")]
    private static partial Regex Arguments();
}
