using System.Globalization;
using System.Reflection;

namespace Dpo.Tests;

/// <summary>A checkpoint knows its loss by this text: another number is another text, and the texts stay as they are.</summary>
public class LossDescriptionTests
{
    /// <summary>As checkpoints hold them since their first format.</summary>
    private static readonly Dictionary<string, string> recorded = new()
    {
        ["sigmoid"] = "DpoLoss(Beta=0.1, LabelSmoothing=0, ReferenceFree=False, divergence=reverse_kl(-1, 0.5))",
        ["hinge"] = "HingeLoss(Beta=0.1, divergence=reverse_kl(-1, 0.5))",
        ["ipo"] = "IpoLoss(Beta=0.1, divergence=reverse_kl(-1, 0.5))",
        ["ipo_sum"] = "IpoSumLoss(Beta=0.1, referenceFree=False)",
        ["exo_pair"] = "ExoPairLoss(Beta=0.1, LabelSmoothing=0.001, divergence=reverse_kl(-1, 0.5))",
        ["nca_pair"] = "NcaPairLoss(Beta=0.1, divergence=reverse_kl(-1, 0.5))",
        ["robust"] = "RobustLoss(Beta=0.1, LabelSmoothing=0.1, divergence=reverse_kl(-1, 0.5))",
        ["bco_pair"] = "BcoPairLoss(Beta=0.1, divergence=reverse_kl(-1, 0.5))",
        ["sppo_hard"] = "SppoHardLoss(Beta=0.1, divergence=reverse_kl(-1, 0.5))",
        ["aot"] = "AotLoss(Beta=0.1, LabelSmoothing=0)",
        ["aot_unpaired"] = "AotUnpairedLoss(Beta=0.1, LabelSmoothing=0)",
        ["apo_zero"] = "ApoZeroLoss(Beta=0.1)",
        ["apo_down"] = "ApoDownLoss(Beta=0.1, divergence=reverse_kl(-1, 0.5))",
        ["discopop"] = "DiscoPopLoss(Beta=0.1, Temperature=0.05, divergence=reverse_kl(-1, 0.5))",
        ["sigmoid_norm"] = "SigmoidNormLoss(Beta=0.1, divergence=reverse_kl(-1, 0.5))",
        ["sft"] = "SftLoss()",
        ["simpo"] = "SimPoLoss(Beta=2, Gamma=0.5)",
        ["orpo"] = "OrpoLoss(Beta=0.1)",
        ["kto"] = "KtoLoss(Beta=0.1, DesirableWeight=1, UndesirableWeight=1)",
        ["rpo_sq"] = "RpoLoss(Beta=0.1, Scale=1, distance=Squared)",
        ["rpo_bwd_kl"] = "RpoLoss(Beta=0.1, Scale=1, distance=BackwardKl)",
        ["rpo_fwd_kl"] = "RpoLoss(Beta=0.1, Scale=1, distance=ForwardKl)",
        ["plackett_luce"] = "PlackettLuceLoss(Beta=0.1)",
        ["unlikelihood"] = "UnlikelihoodLoss(Alpha=0.5)",
        ["sft_norm"] = "SftLoss(PerCompletion=True)",
        ["cpo_hinge"] = "CombinedLoss(Terms=[(CpoLoss(Beta=0.1, Form=Hinge, LabelSmoothing=0), 1), (SftLoss(), 1)])",
        ["alphapo"] = "AlphaPoLoss(Alpha=0.25, Beta=2.5, Gamma=0.1)",
        ["dpop"] = "DpopLoss(Beta=0.1, Lambda=50)",
        ["r_dpo"] = "RDpoLoss(Alpha=0.01, Beta=0.1)",
        ["odpo_ratio"] = "OdpoLoss(Alpha=1, Beta=0.1, OfRatio=True)",
        ["cal_dpo"] = "CalDpoLoss(Beta=0.1, Weight=0.5)",
        ["chi_po"] = "ChiPoLoss(Beta=0.1, MaxExponent=20)",
        ["beta_dpo"] = "BetaDpoLoss(Beta=0.1, FilteredShare=0.2, Sensitivity=0.6)",
        ["sampo"] = "SamPoLoss(Beta=0.1, Seed=0)",
        ["tdpo1"] = "Tdpo1Loss(Beta=0.1)",
        ["tdpo2"] = "Tdpo2Loss(Alpha=0.5, Beta=0.1)",
        ["dpo_shift"] = "DpoShiftLoss(Beta=0.1, Shift=0.95)",
    };

    [Fact]
    public void Texts_of_checkpoints_stay_as_they_are()
    {
        foreach (var (name, text) in recorded)
            Assert.Equal(text, new LossOptions { Names = [name] }.Create().Description);
        Assert.Equal(
            "CombinedLoss(Terms=[(WpoLoss(loss=LengthDesensitizedLoss(Alpha=0.25, loss=HingeLoss(Beta=0.1, divergence=alpha_divergence(-3.29744, -1.5576)))), 0.5), (SftLoss(), 2)])",
            new LossOptions { Names = ["hinge", "sft"], Weights = [0.5, 2], LdAlpha = 0.25, UseWeighting = true, Divergence = FDivergence.Alpha() }.Create().Description);
    }

    public static TheoryData<Type> Losses =>
        [.. typeof(IPreferenceLoss).Assembly.GetExportedTypes().Where(type => type.IsAssignableTo(typeof(IPreferenceLoss)) && type.IsClass && !type.IsAbstract)];

    /// <summary>Every argument of every loss's constructor; a loss that is added is among them.</summary>
    [Theory]
    [MemberData(nameof(Losses))]
    public void Another_number_is_another_text(Type loss)
    {
        var constructor = Assert.Single(loss.GetConstructors());
        var parameters = constructor.GetParameters();
        object?[] usual = [.. parameters.Select(Usual)];
        string Described(object?[] arguments)
        {
            var made = (IPreferenceLoss)constructor.Invoke(arguments);
            using var module = made as IDisposable;
            return made.Description;
        }

        Assert.Equal(Described(usual), Described(usual));
        string[] texts =
        [
            Described(usual),
            .. parameters.SelectMany((parameter, index) => Others(parameter).Select(other => Described([.. usual[..index], other, .. usual[(index + 1)..]]))),
        ];
        Assert.Equal(texts, texts.Distinct());
    }

    /// <summary>The default, or a value where there is none.</summary>
    private static object? Usual(ParameterInfo parameter) => parameter switch
    {
        { HasDefaultValue: true } => parameter.DefaultValue is null ? null : parameter.ParameterType.IsEnum ? Enum.ToObject(parameter.ParameterType, parameter.DefaultValue) : parameter.DefaultValue,
        { ParameterType: var type } when type == typeof(double) => 0.5,
        { ParameterType: var type } when type == typeof(IPairLoss) => new HingeLoss(),
        { ParameterType: var type } when type == typeof(IReadOnlyList<(IPreferenceLoss, double)>) => Terms((new HingeLoss(), 1), (new SftLoss(), 1)),
        _ => throw new NotSupportedException($"{parameter.Member.DeclaringType!.Name}'s argument {parameter.Name} is of a type that this test has no values of; give it some."),
    };

    /// <summary>Values that are neither the usual one nor each other; within every range that losses' numbers have.</summary>
    private static object[] Others(ParameterInfo parameter) => parameter.ParameterType switch
    {
        var type when type == typeof(double) || type == typeof(double?) => [0.3125, 0.4375],
        var type when type == typeof(int) => [3, 4],
        var type when type == typeof(bool) => [!(bool)Usual(parameter)!],
        { IsEnum: true } type => [.. Enum.GetValues(type).Cast<object>().Where(value => !value.Equals(Usual(parameter)))],
        var type when type == typeof(FDivergence) => [FDivergence.ForwardKl, FDivergence.JensenShannon, FDivergence.Alpha(0.25), FDivergence.Alpha(0.75)],
        var type when type == typeof(IPairLoss) => [new HingeLoss(0.2), new IpoLoss(), new HingeLoss(divergence: FDivergence.ForwardKl), new LengthDesensitizedLoss(new HingeLoss(), 0.5)],
        var type when type == typeof(IReadOnlyList<(IPreferenceLoss, double)>) =>
        [
            Terms((new HingeLoss(), 2), (new SftLoss(), 1)), Terms((new HingeLoss(), 1), (new SftLoss(), 2)), Terms((new HingeLoss(0.2), 1), (new SftLoss(), 1)),
            Terms((new SftLoss(), 1), (new HingeLoss(), 1)), Terms((new HingeLoss(), 1), (new SftLoss(), 1), (new SimPoLoss(), 1)),
        ],
        _ => throw new NotSupportedException($"{parameter.Member.DeclaringType!.Name}'s argument {parameter.Name} is of a type that this test has no values of; give it some."),
    };

    private static IReadOnlyList<(IPreferenceLoss, double)> Terms(params (IPreferenceLoss, double)[] terms) => terms;

    public static TheoryData<LossOptions> Changed =>
    [
        new() { Names = ["simpo"] }, new() { Names = ["sigmoid", "sft"], Weights = [1, 2] }, new() { Beta = 0.2 }, new() { LabelSmoothing = 0.125 },
        new() { Divergence = FDivergence.JensenShannon }, new() { LdAlpha = 0.5 }, new() { UseWeighting = true }, new() { DiscoPopTemperature = 0.2 },
        new() { SimPoGamma = 0.25 }, new() { DesirableWeight = 2 }, new() { UndesirableWeight = 2 }, new() { ScoreScale = 2 }, new() { UnlikelihoodAlpha = 0.25 },
        new() { CpoAlpha = 0.5 }, new() { AlphaPoGamma = 1 }, new() { AlphaPoAlpha = 1 }, new() { DpopLambda = 5 }, new() { RDpoAlpha = 1 }, new() { OdpoAlpha = 2 },
        new() { CalDpoWeight = 1 }, new() { ChiPoRewardBound = 1 }, new() { BetaDpoSensitivity = 1 }, new() { BetaDpoFilteredShare = 0.5 }, new() { SamPoSeed = 1 },
        new() { TdpoAlpha = 1 }, new() { DpoShift = 0.5 }, new() { DpoShiftLast = 0.5 },
    ];

    [Theory]
    [MemberData(nameof(Changed))]
    public void Another_option_is_another_text(LossOptions options)
    {
        var option = Assert.Single(typeof(LossOptions).GetProperties(BindingFlags.Instance | BindingFlags.Public), property => property.Name is not nameof(LossOptions.Names)
            ? !Equals(property.GetValue(options), property.GetValue(new LossOptions()))
            : options.Names is not ["sigmoid"] && options.Weights is null);
        IReadOnlyList<string>[] names = options.Names is ["sigmoid"] ? [.. LossOptions.AllNames.Select(name => (string[])[name])] : [options.Names];
        var told = names.Any(of =>
        {
            try
            {
                var usual = new LossOptions { Names = option.Name == nameof(LossOptions.Names) ? ["sigmoid"] : of };
                return usual.Create().Description != (options with { Names = of }).Create().Description;
            }
            catch (InvalidInputException)
            {
                return false;
            }
        });
        Assert.True(told, option.Name);
    }

    [Fact]
    public void All_options_are_among_those_that_change() => Assert.Equal(
        typeof(LossOptions).GetProperties(BindingFlags.Instance | BindingFlags.Public).Length, Changed.Count);

    private abstract class OwnLoss : PairLoss
    {
        public int Power { get; init; } = 2;

        public override TorchSharp.torch.Tensor Losses(PairLogProbs pairs) => pairs.Margins;
    }

    private sealed class Own(double beta) : OwnLoss
    {
        public override double Beta => beta;

        public override bool IsBatchCoupled => true;

        public double[] Weights { get; init; } = [1, 0.5];

        public string Kind { get; } = "cubic";

        public IPreferenceLoss? Inner { get; init; }

        public FDivergence Divergence { get; init; } = FDivergence.ReverseKl;

        public DateTime Made { get; } = DateTime.Now;

        public double this[int place] => Weights[place];
    }

    private sealed class Told(double secret) : OwnLoss
    {
        public override double Beta => 1;

        public override string Description => string.Create(CultureInfo.InvariantCulture, $"Told({secret})");
    }

    /// <summary>Public properties, in any culture, whatever class declares them; what is no number, and what no argument decides, is left out.</summary>
    [Fact]
    public void A_loss_of_ones_own_is_known_by_its_public_properties_or_says_itself()
    {
        var before = CultureInfo.CurrentCulture;
        try
        {
            CultureInfo.CurrentCulture = new CultureInfo("") { NumberFormat = { NumberDecimalSeparator = "," } };
            Assert.Equal("Own(Beta=0.25, Divergence=reverse_kl(-1, 0.5), Kind=cubic, Power=2, Weights=[1, 0.5])", new Own(0.25).Description);
            Assert.Equal(
                "Own(Beta=0.25, Divergence=js_divergence(-1.31326, -0.474077), Inner=SftLoss(), Kind=cubic, Power=3, Weights=[])",
                new Own(0.25) { Power = 3, Weights = [], Inner = new SftLoss(), Divergence = FDivergence.JensenShannon }.Description);
            Assert.Equal("CombinedLoss(Terms=[(Told(0.5), 1.5), (SftLoss(), 1)])", new CombinedLoss((new Told(0.5), 1.5), (new SftLoss(), 1)).Description);
        }
        finally
        {
            CultureInfo.CurrentCulture = before;
        }
    }
}
