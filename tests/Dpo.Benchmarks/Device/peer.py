"""A step of DPO by PyTorch and transformers, as TRL computes it: the peer of `device`.

The prompt in front of each completion, chosen and rejected in one right-padded batch without an attention mask (causal attention needs none
there, so that the fastest kernel serves), the logits of every token, the reference in every step, fp32 weights under bf16 autocast, fused
AdamW. Micro-batches are pairs of similar length up to a number of padded tokens; where memory does not suffice, half as many.

Reads a request of one line of JSON, answers with one.
"""

import json
import sys
import time

import torch
import torch.nn.functional as F


def make(shape, config, device):
    if "InnerSize" in config and "KeyValueHeadCount" in config:
        from transformers import LlamaConfig, LlamaForCausalLM

        model = LlamaForCausalLM(LlamaConfig(
            vocab_size=config["VocabularySize"], hidden_size=config["HiddenSize"], intermediate_size=config["InnerSize"],
            num_hidden_layers=config["LayerCount"], num_attention_heads=config["HeadCount"],
            num_key_value_heads=config["KeyValueHeadCount"] or config["HeadCount"], max_position_embeddings=config["MaxPositions"],
            tie_word_embeddings=config["TieWordEmbeddings"], attn_implementation="sdpa"))
    else:
        from transformers import GPT2Config, GPT2LMHeadModel

        model = GPT2LMHeadModel(GPT2Config(
            vocab_size=config["VocabularySize"], n_embd=config["HiddenSize"], n_layer=config["LayerCount"], n_head=config["HeadCount"],
            resid_pdrop=0.0, embd_pdrop=0.0, attn_pdrop=0.0, attn_implementation="sdpa"))
    return model.to(device)


def parts(batch, most):
    """Cuts a batch into micro-batches of at most so many padded tokens, the longest pairs first."""
    part = []
    for pair in sorted(batch, key=lambda pair: -longest(pair)):
        if part and 2 * (len(part) + 1) * longest(part[0]) > most:
            yield part
            part = []
        part.append(pair)
    yield part


def longest(pair):
    return pair["Prompt"] + max(pair["Chosen"], pair["Rejected"])


def tensors(part, vocabulary, device):
    width = longest(part[0])
    ids = torch.randint(vocabulary, (2 * len(part), width))
    mask = torch.zeros(2 * len(part), width)
    for row, pair in enumerate(part):
        for sequence, name in ((row, "Chosen"), (row + len(part), "Rejected")):
            mask[sequence, pair["Prompt"] - 1:pair["Prompt"] + pair[name] - 1] = 1
    return ids.to(device, non_blocking=True), mask.to(device, non_blocking=True)


def log_probs(model, ids, mask, device):
    with torch.autocast(device, dtype=torch.bfloat16):
        logits = model(input_ids=ids, use_cache=False).logits
    loss = F.cross_entropy(logits[:, :-1].flatten(0, 1).float(), ids[:, 1:].flatten(), reduction="none")
    return -(loss.view(ids.shape[0], -1) * mask[:, :-1]).sum(1)


def run(request, most):
    device = request["Device"]
    on_gpu = device == "cuda"
    torch.manual_seed(0)
    policy = make(request["Shape"], request["Config"], device)
    reference = make(request["Shape"], request["Config"], device).eval()
    reference.load_state_dict(policy.state_dict())
    for parameter in reference.parameters():
        parameter.requires_grad = False
    optimizer = torch.optim.AdamW(policy.parameters(), lr=1e-6, weight_decay=0.0, fused=True)
    vocabulary = request["Config"]["VocabularySize"]
    seconds = []
    for batch in request["Batches"]:
        begin = time.perf_counter()
        total = torch.zeros((), device=device)
        for part in parts(batch, most):
            ids, mask = tensors(part, vocabulary, device)
            with torch.no_grad():
                chosen_reference, rejected_reference = log_probs(reference, ids, mask, device).chunk(2)
            chosen, rejected = log_probs(policy, ids, mask, device).chunk(2)
            loss = -F.logsigmoid(0.1 * ((chosen - rejected) - (chosen_reference - rejected_reference))).sum() / len(batch)
            loss.backward()
            total += loss.detach()
        torch.nn.utils.clip_grad_norm_(policy.parameters(), 10.0)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        value = total.item()
        seconds.append(time.perf_counter() - begin)
    weights = sum(parameter.numel() for parameter in policy.parameters()) * 4
    return {
        "Seconds": seconds[request["WarmUp"]:], "PeakBytes": torch.cuda.max_memory_reserved() if on_gpu else 0, "WeightBytes": 5 * weights,
        "Launches": None, "Waits": None, "Loss": value,
    }


def main():
    request = json.load(sys.stdin)
    most = request["MicroBatchTokens"]
    while True:
        try:
            answer = run(request, most)
            break
        except torch.OutOfMemoryError:
            if most < 512:
                raise
        most //= 2
        import gc

        gc.collect()
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()
        print(f"out of memory; {most} tokens at once", file=sys.stderr)
    print(json.dumps(answer))


if __name__ == "__main__":
    main()
