namespace Dpo.Models;

/// <summary>What a model computes by besides its weights and its code.</summary>
/// <param name="Configuration">The fields of its <c>config.json</c>.</param>
/// <param name="Precision">That of its matrix products.</param>
/// <param name="Adapter">What its adapter was made with; null where it has none.</param>
internal sealed record ModelDescription(string Configuration, Precision Precision, AdapterDescription? Adapter);

/// <summary>What an adapter was made with.</summary>
/// <param name="Scale">What its product is multiplied by, which no weight says.</param>
/// <param name="All">Everything that a run with it follows from.</param>
internal sealed record AdapterDescription(string Scale, string All);
