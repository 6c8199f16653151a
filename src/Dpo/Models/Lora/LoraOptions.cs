using System.Collections.ObjectModel;
using System.Globalization;

namespace Dpo.Models.Lora;

/// <summary>Which biases of the model an adapter trains beside its matrices.</summary>
public enum LoraBias
{
    /// <summary>None.</summary>
    None,

    /// <summary>Those of the layers it lies over.</summary>
    LoraOnly,

    /// <summary>All, those of norms included.</summary>
    All,
}

/// <summary>
/// A LoRA adapter (Hu et al. 2021): beside chosen linear layers x ↦ Wx, whose weights are frozen, run two thin matrices that are
/// trained, x ↦ Wx + scale · B(Ax) with A <c>[rank, in]</c> and B <c>[out, rank]</c>. Fields are PEFT's.
/// </summary>
public sealed record LoraOptions
{
    /// <summary>What <see cref="TargetModules"/> says for every linear layer of the blocks.</summary>
    public const string AllLinear = "all-linear";

    /// <summary>The rank r of the change to each weight (<c>r</c>); at least 1, and 16 by default.</summary>
    public int Rank { get; init; } = 16;

    /// <summary>α (<c>lora_alpha</c>), above 0: the change is scaled by α/r, so that the learning rate need not follow the rank.
    /// 32 by default.</summary>
    public double Alpha { get; init; } = 32;

    /// <summary>Whether the scale is α/√r instead (<c>use_rslora</c>; Kalajdzievski 2023), which keeps large ranks
    /// learning.</summary>
    public bool UseRsLora { get; init; }

    /// <summary>The share of the adapter's inputs that training zeroes at random (<c>lora_dropout</c>), from 0 to below 1; 0 by
    /// default. It is drawn by a generator of its own.</summary>
    /// <remarks>It acts while the model is in training mode, which an adapter with dropout puts it into, and only where gradients
    /// are recorded: evaluation, sampling and the reference never see it. <c>model.eval()</c> turns it off.</remarks>
    public double Dropout { get; init; }

    /// <summary>
    /// Which linear layers are adapted (<c>target_modules</c>): names, each the whole name of a layer or its end behind a dot,
    /// such as <c>c_attn</c> or <c>attn.c_proj</c>; or, alone, <see cref="AllLinear"/>, the default: every linear layer of the
    /// blocks. The output head takes an adapter where it is named (<c>lm_head</c>); one that is tied to the token embedding gets
    /// a weight of its own then.
    /// </summary>
    public IReadOnlyList<string> TargetModules { get; init; } = [AllLinear];

    /// <summary>In place of <see cref="TargetModules"/> a regular expression that the whole name of a layer matches, such as
    /// <c>transformer\.h\.[0-5]\.attn\..*</c>; null by default.</summary>
    public string? TargetPattern { get; init; }

    /// <summary>Ranks of single layers (<c>rank_pattern</c>): regular expressions that match a layer's whole name, or its end
    /// behind a dot, and the rank in place of <see cref="Rank"/>; the first that matches holds. None by default.</summary>
    public IReadOnlyDictionary<string, int> RankPattern { get; init; } = ReadOnlyDictionary<string, int>.Empty;

    /// <summary>α of single layers (<c>alpha_pattern</c>), as <see cref="RankPattern"/>. None by default.</summary>
    public IReadOnlyDictionary<string, double> AlphaPattern { get; init; } = ReadOnlyDictionary<string, double>.Empty;

    /// <summary>Modules that are trained whole and saved with the adapter (<c>modules_to_save</c>), named as in
    /// <see cref="TargetModules"/>: <c>lm_head</c>, <c>embed_tokens</c>. Token embedding and output head, where they are tied,
    /// part ways when one of them is named. None by default.</summary>
    public IReadOnlyList<string> ModulesToSave { get; init; } = [];

    /// <summary>Which biases are trained beside the adapter (<c>bias</c>); none by default.</summary>
    public LoraBias Bias { get; init; }

    /// <summary>Whether the frozen matrices, embeddings included, are kept in bf16, at half the memory. Exact for a model that
    /// was published in bf16, a rounding for others. The adapter stays fp32, and so do biases and norms.</summary>
    public bool BaseInBFloat16 { get; init; }

    /// <summary>Seeds A, which is drawn as PEFT does (uniform within ±1/√in; B is zero), and dropout.</summary>
    public int Seed { get; init; }

    /// <summary>The rank of a layer's change.</summary>
    internal int RankOf(string layer) => LoraTargets.FirstMatch(RankPattern, layer, Rank);

    /// <summary>What a layer's B(Ax) is multiplied by.</summary>
    internal double ScaleOf(string layer)
    {
        var rank = RankOf(layer);
        return LoraTargets.FirstMatch(AlphaPattern, layer, Alpha) / (UseRsLora ? Math.Sqrt(rank) : rank);
    }

    /// <summary>All that scales follow from, as a text.</summary>
    internal string ScaleDescription
    {
        get
        {
            var scale = Alpha / (UseRsLora ? Math.Sqrt(Rank) : Rank);
            var patterns = RankPattern
                .Select(item => string.Create(CultureInfo.InvariantCulture, $", rank {item.Value} of {item.Key}"))
                .Concat(AlphaPattern.Select(
                    item => string.Create(CultureInfo.InvariantCulture, $", alpha {item.Value:r} of {item.Key}")));
            return string.Create(CultureInfo.InvariantCulture, $"{scale:r}{string.Concat(patterns)}");
        }
    }

    /// <summary>Refuses values outside their ranges.</summary>
    internal void Validate()
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(Rank, 1);
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(Alpha);
        ArgumentOutOfRangeException.ThrowIfNegative(Dropout);
        ArgumentOutOfRangeException.ThrowIfGreaterThanOrEqual(Dropout, 1);
        ArgumentNullException.ThrowIfNull(TargetModules);
        ArgumentNullException.ThrowIfNull(ModulesToSave);
        ArgumentNullException.ThrowIfNull(RankPattern);
        ArgumentNullException.ThrowIfNull(AlphaPattern);
        foreach (var rank in RankPattern.Values)
            ArgumentOutOfRangeException.ThrowIfLessThan(rank, 1, nameof(RankPattern));
        foreach (var alpha in AlphaPattern.Values)
            ArgumentOutOfRangeException.ThrowIfNegativeOrZero(alpha, nameof(AlphaPattern));
    }
}
