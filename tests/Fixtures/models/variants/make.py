"""Makes the folders beside this file with transformers: tiny models for what the larger fixtures leave at its default.
usage: python3 make.py FOLDER    (torch and transformers as the README of tests/Fixtures names them)"""
import json, os, sys
import torch
from transformers import AutoConfig, AutoModelForCausalLM

shape = dict(vocab_size=64, hidden_size=16, intermediate_size=24, num_hidden_layers=2, num_attention_heads=4, num_key_value_heads=2,
             max_position_embeddings=64, bos_token_id=0, eos_token_id=0, pad_token_id=1)
default = dict(rope_type="default", rope_theta=100.0)
variants = {
    "llama_biases_linear": ("llama", dict(
        attention_bias=True, mlp_bias=True, rope_parameters=dict(rope_type="linear", factor=4.0, rope_theta=100.0))),
    "llama_tied_llama3": ("llama", dict(
        tie_word_embeddings=True, num_key_value_heads=1, head_dim=8, rope_parameters=dict(
            rope_type="llama3", factor=8.0, low_freq_factor=1.0, high_freq_factor=4.0, original_max_position_embeddings=32,
            rope_theta=100.0))),
    "mistral_window": ("mistral", dict(sliding_window=4, head_dim=8, rope_parameters=default)),
    "qwen2_window": ("qwen2", dict(
        use_sliding_window=True, sliding_window=3, max_window_layers=1, tie_word_embeddings=True, rope_parameters=default)),
    "qwen3_window": ("qwen3", dict(
        use_sliding_window=True, sliding_window=5, max_window_layers=1, head_dim=8, attention_bias=True, rope_parameters=default)),
    "gemma2_window": ("gemma2", dict(
        sliding_window=4, head_dim=8, query_pre_attn_scalar=20, attn_logit_softcapping=2.0, final_logit_softcapping=3.0,
        attention_bias=True, rope_parameters=default)),
    "phi3_window": ("phi3", dict(
        sliding_window=5, num_key_value_heads=1, hidden_size=32, partial_rotary_factor=0.5, rope_parameters=dict(default, partial_rotary_factor=0.5))),
}


def logits(model, ids):
    with torch.no_grad():
        return model(torch.tensor([ids])).logits[0]


def older(config):
    fields = dict(config)
    rope = dict(fields.pop("rope_parameters"))
    fields["rope_theta"] = rope.pop("rope_theta")
    if "partial_rotary_factor" in rope:
        fields["partial_rotary_factor"] = rope.pop("partial_rotary_factor")
    fields["rope_scaling"] = None if rope["rope_type"] == "default" else rope
    fields["torch_dtype"] = fields.pop("dtype")
    fields.pop("layer_types", None)
    return fields


for name, (kind, fields) in variants.items():
    folder = os.path.join(sys.argv[1], name)
    torch.manual_seed(2)
    config = AutoConfig.for_model(kind, **{**shape, **fields})
    model = AutoModelForCausalLM.from_config(config, attn_implementation="eager", dtype=torch.float32).eval()
    with torch.no_grad():
        for key, parameter in model.named_parameters():
            if parameter.dim() == 2:
                parameter.normal_(0, 0.4)
            else:
                parameter.normal_(1 if "norm" in key and kind != "gemma2" else 0, 0.2)
    model.save_pretrained(folder)
    os.remove(os.path.join(folder, "generation_config.json"))

    sequences = [torch.randint(0, 64, (length,)).tolist() for length in (24, 9)]
    expected = dict(versions=dict(torch=torch.__version__), sequences=[], logits=[])
    for index, ids in enumerate(sequences):
        values = logits(model, ids)
        steps = [values[t].log_softmax(0)[ids[t + 1]].item() for t in range(len(ids) - 1)]
        start = len(ids) // 2
        expected["sequences"].append(dict(
            ids=ids, completion_start=start, token_logprobs=steps, completion_logprob_sum=sum(steps[start - 1:]), total_logprob_sum=sum(steps)))
        columns = list(range(0, 64, 9))
        expected["logits"].append(dict(
            sequence=index, vocab_ids=columns, values=values[:, columns].tolist(), logsumexp=values.logsumexp(1).tolist(),
            argmax=values.argmax(1).tolist()))
    prompt, generated, gap = sequences[1][:5], [], 9.0
    for _ in range(16):
        best = logits(model, prompt + generated)[-1].topk(2)
        gap = min(gap, (best.values[0] - best.values[1]).item())
        generated.append(best.indices[0].item())
    expected["greedy"] = dict(prompt=prompt, generated=generated, min_top2_logit_gap=gap)

    path = os.path.join(folder, "config.json")
    saved = json.load(open(path))
    json.dump(older(saved), open(os.path.join(folder, "config_v4.json"), "w"), indent=2)
    json.dump(expected, open(os.path.join(folder, "expected.json"), "w"))
    # The older spelling must be the same model to transformers too, and so must the other attention kernel.
    os.rename(path, path + ".new")
    json.dump(older(saved), open(path, "w"))
    legacy = AutoModelForCausalLM.from_pretrained(folder, attn_implementation="eager" if kind == "gemma2" else "sdpa").eval()
    os.rename(path + ".new", path)
    difference = (logits(model, sequences[0]) - logits(legacy, sequences[0])).abs().max().item()
    print(name, "gap", gap, "older spelling", difference)
    assert difference < 1e-5 and gap > 0.01
