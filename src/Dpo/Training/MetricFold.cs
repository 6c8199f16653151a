namespace Dpo.Training;

/// <summary>What a metric's values of a batch's parts are brought together by.</summary>
public enum MetricFold
{
    /// <summary>They are added up.</summary>
    Sum,

    /// <summary>The least of them counts.</summary>
    Minimum,

    /// <summary>The largest of them counts.</summary>
    Maximum,
}
