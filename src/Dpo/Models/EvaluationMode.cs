namespace Dpo.Models;

/// <summary>Has a model compute as it is evaluated, without dropout of its modules, until it is disposed: every module is then in
/// the mode that it was in.</summary>
internal sealed class EvaluationMode : IDisposable
{
    private readonly (TorchSharp.torch.nn.Module Module, bool IsTraining)[] modules;

    /// <summary>Puts the model into evaluation mode.</summary>
    public EvaluationMode(CausalLanguageModel model)
    {
        modules = [(model, model.training), .. model.modules().Select(module => (module, module.training))];
        model.eval();
    }

    public void Dispose()
    {
        // A module's mode is handed down to its parts, which come behind it.
        foreach (var (module, isTraining) in modules)
            module.train(isTraining);
    }
}
