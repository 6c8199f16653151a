namespace Dpo.Models.Lora;

/// <summary>LoRA adapters of a model: made, read and written.</summary>
public static class LoraExtensions
{
    /// <param name="model">The model.</param>
    extension(TransformerModel model)
    {
        /// <summary>What the model's LoRA adapter was made with, or null where it has none.</summary>
        public LoraOptions? Lora => (model.Adapter as LoraAdapter)?.Options;

        /// <summary>
        /// Lays a new LoRA adapter over the model and freezes all other weights. The model computes what it did before, to the
        /// bit (unless <see cref="LoraOptions.BaseInBFloat16"/> rounds it), until the adapter is trained.
        /// </summary>
        /// <remarks>
        /// <para>Call it before the <c>PolicyReferencePair</c> and the optimizer are made. The reference of a pair is then the
        /// same model with the adapter as it was given, which takes no memory but the adapter's:</para>
        /// <code>
        /// using var policy = CausalLanguageModel.Load(folder);
        /// policy.AddLora(new LoraOptions { Rank = 16, Alpha = 32, TargetModules = ["c_attn"] });
        /// using var pair = new PolicyReferencePair(policy);
        /// … train; give an optimizer of your own policy.parameters().Where(parameter => parameter.requires_grad) …
        /// policy.SaveAdapter("adapter"); // for PEFT, and for LoadAdapter
        /// policy.Save("merged");         // or a whole model
        /// </code>
        /// <para>LoRA takes larger learning rates than full training: about ten times.</para>
        /// </remarks>
        /// <param name="options">Rank, targets and the like; rank 16 over every linear layer of the blocks by default.</param>
        /// <exception cref="InvalidInputException">A target matches no linear layer, and the message lists what there is; or a
        /// rank is more than a layer can use.</exception>
        /// <exception cref="InvalidOperationException">The model has an adapter.</exception>
        public void AddLora(LoraOptions? options = null)
        {
            options ??= new LoraOptions();
            options.Validate();
            model.Attach(() =>
            {
                var plan = new LoraPlan(model, options);
                plan.RequireUsefulRanks();
                return new LoraAdapter(plan, model.Device);
            });
        }

        /// <summary>
        /// Lays an adapter out of a folder in PEFT's layout over the model, trainable, and freezes all other weights. Training
        /// goes on from it; with DPO it is part of the reference.
        /// </summary>
        /// <param name="folder">Holds <c>adapter_config.json</c> and <c>adapter_model.safetensors</c> or
        /// <c>adapter_model.bin</c>, from <see cref="SaveAdapter"/> or PEFT's <c>save_pretrained</c>. The model must be the one
        /// that it was trained on. Embeddings that PEFT saved beside the adapter, as it does by itself after a change of the
        /// vocabulary, take the place of the model's, with as many rows as they have.</param>
        /// <param name="baseInBFloat16">As <see cref="LoraOptions.BaseInBFloat16"/>, which no file holds.</param>
        /// <exception cref="InvalidInputException">A file is missing or damaged, does not fit the model, or asks for what Dpo
        /// does not implement (DoRA, single experts, …); the message names the field or tensor. The model is as it
        /// was.</exception>
        /// <exception cref="InvalidOperationException">The model has an adapter.</exception>
        public void LoadAdapter(string folder, bool baseInBFloat16 = false)
        {
            ArgumentException.ThrowIfNullOrEmpty(folder);
            model.Attach(() => AdapterFolder.Load(model, folder, baseInBFloat16));
        }

        /// <summary>Writes the adapter as PEFT loads it: <c>adapter_config.json</c> and <c>adapter_model.safetensors</c> (fp32),
        /// each whole or not at all.</summary>
        /// <param name="folder">The folder; it is made where it is missing.</param>
        /// <exception cref="InvalidOperationException">The model has no adapter.</exception>
        /// <exception cref="NotFiniteNumberException">A weight is not finite; nothing was written.</exception>
        public void SaveAdapter(string folder)
        {
            ArgumentException.ThrowIfNullOrEmpty(folder);
            model.RequireAdapter().Save(model.LoadedFrom, folder);
        }
    }
}
