"""Makes tokenizer_styles.json with Hugging Face's tokenizers: two small trained models, the pipelines of well-known
tokenizers over them, and the ids and texts that the library gives.
    python3 make.py > tokenizer_styles.json
    python3 make.py gpt-neox-tokenizer.json > gpt_neox_cases.json
    python3 make.py stories260K/tokenizer.json > stories260k_cases.json"""
import json, random, sys
import tokenizers
from tokenizers import Tokenizer, models, pre_tokenizers, trainers

random.seed(7)
CORPUS = [
    "Once upon a time, there was a little girl named Lily. She loved to play outside in the park. She'll say it's hers; they've gone, I'm sure we'd know.",
    "The model reads 12345 rows in 2024, 100 of them twice.\n\n  def main(x):\n    return x + 1\n\tend\n",
    "Übergröße, café, naïve, Ångström. Привет мир. 你好，世界。こんにちは 한국어 한글. שלום עולם. مرحبا بالعالم 🙂🙂👩‍👩‍👧",
    "WE'RE HERE! DON'T SHOUT. <b>bold</b> https://example.org/a?b=c&d=1 snake_case camelCase HTTPServer",
] * 4

TEXTS = ["", " ", "  ", "a", " a", "a ", "Hello, world!", "Once upon a time, there was a little girl", "I'm we'll THEY'VE it'S don't 'tis ''s",
    "she\u2019s 'ſ we'\u212a x'SS \u017fs", "1234567890 12 345 6 \u00bd\u00b2 \u0967\u0968\u0969 \U0001d7d8\U0001d7d9 \u2160\u2161", "  two  spaces   three\n\n\nlines \n x\n", "\r\n\r\n a\r\n\tb\t\t c \t", "trailing   ", "   leading",
    "a\u00a0b\u3000c\u2028d\u0085e\u200bf\ufefff\u180eg", "e\u0301 A\u030a q\u0323\u0307 q\u0307\u0323 \u1100\u1161\u11a8 \uac00\u11a8 \u212b \u2126 \uf900 \U0001d15e \u0958 \u0344 \u0341",
    "日本語のテキスト、混ざったtext。中文字符𠀀𠀁", "\U0001d400\U0001d401bc \U00020000x \U0001f600\U0001f468\u200d\U0001f469\u200d\U0001f467 \U0001f1e9\U0001f1ea", "שלום, \u202eمرحبا\u202c بالعالم ٣",
    "\x00\x01\x1f\x7f\x1c", "\ufffd\ufffe\U0010ffff\ue000", "https://example.org/?q=a+b&c=%20#x", "x=[1,2];\n\tif (a&&b){return!c}//no", "<|endoftext|>", "a <|endoftext|> b<|im_start|>user\n<|im_end|>",
    "<tok> a<tok>  b  <tok>", "<left> a  <left>b", "x  <right>  y<right>", "<right> \n <left>", "<norm>\u0301", "<norm> e\u0301<\u0438\u0306>", "<\u0439>", "<0x41><0xE2>", "\u2581a\u2581\u2581b \u2581", "</s><s>Hi</s>", "          ten spaces", "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
    "antidisestablishmentarianism", "HTTPServer camelCaseWord ÀÉÎ ǅabc ªb ʰc", "the little girl", "the\u0301 gi\u0308rl", ". . .\n!?\n/x /\n//", "a\n\n", "\n", " \n ", "\n\n  x", "12", "1,234.56", "'", "' s", "'ve"]
PIECES = TEXTS + [chr(c) for c in range(33, 127)] + list("éßñÅ你好世界한국ыж") + ["\u0301", "\u0308", "\u0323", "\u1161", "\u11a8", "\U0001f600", "\U00020001", "'s", "'LL", " ", " ", "  ", "\n", "\t", "7", "42", " the", " play"]

def texts():
    made = list(TEXTS)
    for _ in range(60):
        made.append("".join(random.choice(PIECES) for _ in range(random.randint(1, 6))))
    return made

def byte_level(size):
    t = Tokenizer(models.BPE())
    t.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    t.train_from_iterator(CORPUS, trainers.BpeTrainer(vocab_size=size, initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()), show_progress=False))
    m = json.loads(t.to_str())["model"]
    # Whole words that the merges do not reach, for ignore_merges.
    for w in ["antidisestablishmentarianism", "\u0120gi", "12", "nothe"]:
        m["vocab"].setdefault(w, len(m["vocab"]))
    return {"vocab": m["vocab"], "merges": [" ".join(x) for x in m["merges"]]}

def byte_fallback(size):
    t = Tokenizer(models.BPE())
    t.pre_tokenizer = pre_tokenizers.Metaspace(replacement="\u2581", prepend_scheme="always")
    t.train_from_iterator(CORPUS, trainers.BpeTrainer(vocab_size=size, limit_alphabet=90, show_progress=False))
    m = json.loads(t.to_str())["model"]
    names = ["<unk>", "<s>", "</s>"] + ["<0x%02X>" % b for b in range(256)] + sorted(m["vocab"], key=m["vocab"].get)
    names += ["\u2581\u2581", "\u2581\u2581\u2581\u2581"]
    return {"vocab": {n: i for i, n in enumerate(names)}, "merges": [["\u2581", "\u2581"], ["\u2581\u2581", "\u2581\u2581"]] + m["merges"]}

MODELS = {"byte_level": byte_level(420), "byte_fallback": byte_fallback(320)}

def split(regex, behavior="Isolated", invert=False): return {"type": "Split", "pattern": {"Regex": regex}, "behavior": behavior, "invert": invert}
def seq(key, *steps): return {"type": "Sequence", key: list(steps)}
def bl(prefix=False, regex=False): return {"type": "ByteLevel", "add_prefix_space": prefix, "trim_offsets": True, "use_regex": regex}
CL = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}%s| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
O200K = "|".join([r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?",
    r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?", r"\p{N}{1,3}", r" ?[^\s\p{L}\p{N}]+[\r\n/]*", r"\s*[\r\n]+", r"\s+(?!\S)", r"\s+"])
DEEP = r"[!\"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~][A-Za-z]+|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+| ?[\p{P}\p{S}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
POSS = r"(?i:[sdmt]|ll|ve|re)|[^\r\n\p{L}\p{N}]?+\p{L}++|\p{N}{1,3}| ?[^\s\p{L}\p{N}]++[\r\n]*+|\s*[\r\n]|\s+(?!\S)|\s"
BLD = {"type": "ByteLevel", "add_prefix_space": True, "trim_offsets": True, "use_regex": True}
def rep(a, b): return {"type": "Replace", "pattern": {"String": a}, "content": b}
U = "\u2581"
SPD = seq("decoders", rep(U, " "), {"type": "ByteFallback"}, {"type": "Fuse"}, {"type": "Strip", "content": " ", "start": 1, "stop": 0})
SPD0 = seq("decoders", rep(U, " "), {"type": "ByteFallback"}, {"type": "Fuse"})
def meta(scheme, sp=False): return {"type": "Metaspace", "replacement": U, "prepend_scheme": scheme, "split": sp}
def tok(content, **kw): return dict({"content": content, "single_word": False, "lstrip": False, "rstrip": False, "normalized": False, "special": False}, **kw)
CHAT = [tok("<|endoftext|>", special=True), tok("<|im_start|>", special=True), tok("<|im_end|>", special=True), tok("<tok>"), tok("<left>", lstrip=True), tok("<right>", rstrip=True, special=True), tok("<norm>", normalized=True), tok("<\u0438\u0306>", normalized=True), tok("<both>", lstrip=True, rstrip=True)]
SPT = [tok("<unk>", special=True), tok("<s>", special=True), tok("</s>", special=True)] + CHAT[3:8]
SPACES = [tok(" " * n, normalized=True) for n in (8, 4, 2)]
NFC = {"type": "NFC"}
STYLES = [
    ("gpt2", "byte_level", {"pre_tokenizer": bl(regex=True), "decoder": BLD}, CHAT),
    ("gpt_neox", "byte_level", {"normalizer": NFC, "pre_tokenizer": {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True}, "decoder": BLD}, CHAT + SPACES),
    ("prefix_space", "byte_level", {"pre_tokenizer": bl(prefix=True, regex=True), "decoder": BLD}, CHAT),
    ("llama3", "byte_level", {"pre_tokenizer": seq("pretokenizers", split(CL % "{1,3}"), bl()), "decoder": BLD, "ignore_merges": True}, CHAT),
    ("qwen2", "byte_level", {"normalizer": NFC, "pre_tokenizer": seq("pretokenizers", split(CL % ""), bl()), "decoder": BLD}, CHAT),
    ("gpt4_removed", "byte_level", {"normalizer": seq("normalizers", NFC), "pre_tokenizer": seq("pretokenizers", split(CL % "{1,3}", "Removed", True), bl()), "decoder": BLD}, CHAT),
    ("gpt4o", "byte_level", {"pre_tokenizer": seq("pretokenizers", split(O200K), bl()), "decoder": BLD}, CHAT),
    ("deepseek", "byte_level", {"normalizer": seq("normalizers"), "pre_tokenizer": seq("pretokenizers", split(r"\p{N}{1,3}"), split("[一-龥\u3040-ゟ゠-ヿ]+"), split(DEEP), bl()), "decoder": BLD}, CHAT),
    ("starcoder", "byte_level", {"pre_tokenizer": seq("pretokenizers", {"type": "Digits", "individual_digits": True}, bl(regex=True)), "decoder": BLD}, CHAT),
    ("digits_together", "byte_level", {"pre_tokenizer": seq("pretokenizers", {"type": "Digits", "individual_digits": False}, bl()), "decoder": BLD}, CHAT),
    ("possessive", "byte_level", {"pre_tokenizer": seq("pretokenizers", split(POSS), bl()), "decoder": BLD}, CHAT),
    ("merged_next", "byte_level", {"pre_tokenizer": seq("pretokenizers", split(r"\s", "MergedWithNext"), bl()), "decoder": BLD}, CHAT),
    ("merged_previous", "byte_level", {"pre_tokenizer": seq("pretokenizers", split(r"\p{P}", "MergedWithPrevious"), bl()), "decoder": BLD}, CHAT),
    ("contiguous", "byte_level", {"pre_tokenizer": seq("pretokenizers", split(r"\p{L}", "Contiguous", True), bl()), "decoder": BLD}, CHAT),
    ("llama2", "byte_fallback", {"normalizer": seq("normalizers", {"type": "Prepend", "prepend": U}, rep(" ", U)), "pre_tokenizer": None, "decoder": SPD}, SPT),
    ("mistral", "byte_fallback", {"pre_tokenizer": meta("first"), "decoder": SPD}, SPT),
    ("metaspace_always", "byte_fallback", {"pre_tokenizer": meta("always", True), "decoder": seq("decoders", {"type": "ByteFallback"}, meta("always", True))}, SPT),
    ("metaspace_never", "byte_fallback", {"pre_tokenizer": meta("never", True), "decoder": seq("decoders", {"type": "ByteFallback"}, meta("never", True))}, SPT),
    ("gemma", "byte_fallback", {"normalizer": rep(" ", U), "pre_tokenizer": {"type": "Split", "pattern": {"String": " "}, "behavior": "MergedWithPrevious", "invert": False}, "decoder": SPD0}, SPT + [tok(U * 3), tok("\n\n")]),
    ("fallback_ignore_merges", "byte_fallback", {"normalizer": rep(" ", U), "pre_tokenizer": {"type": "Split", "pattern": {"String": U}, "behavior": "MergedWithNext", "invert": False}, "decoder": SPD0, "ignore_merges": True}, SPT),
]

def build(base, fields, added):
    fields = dict(fields)
    model = {"type": "BPE", "dropout": None, "unk_token": "<unk>" if base == "byte_fallback" else None, "continuing_subword_prefix": None,
             "end_of_word_suffix": None, "fuse_unk": base == "byte_fallback", "byte_fallback": base == "byte_fallback", "ignore_merges": fields.pop("ignore_merges", False)}
    vocab = MODELS[base]["vocab"]
    ids, tokens = len(vocab), []
    for a in added:
        i = vocab.get(a["content"])
        if i is None: i, ids = ids, ids + 1
        tokens.append(dict(a, id=i))
    tokens.sort(key=lambda a: a["id"])
    return dict({"version": "1.0", "truncation": None, "padding": None, "added_tokens": tokens, "normalizer": None, "post_processor": None, "model": model}, **fields), ids

def record(t):
    cases = []
    for text in texts():
        t.encode_special_tokens = False
        ids = t.encode(text, add_special_tokens=False).ids
        t.encode_special_tokens = True
        plain = t.encode(text, add_special_tokens=False).ids
        case = {"text": text, "ids": ids}
        if plain != ids: case["plain_ids"] = plain
        decoded, skipped = t.decode(ids, skip_special_tokens=False), t.decode(ids, skip_special_tokens=True)
        if decoded != text: case["decoded"] = decoded
        if skipped != decoded: case["decoded_skip_special"] = skipped
        cases.append(case)
    return cases

if len(sys.argv) > 1:
    print('{"tokenizers": %s,\n"cases": [\n%s\n]}' % (json.dumps(tokenizers.__version__), ",\n".join(map(json.dumps, record(Tokenizer.from_file(sys.argv[1]))))))
    sys.exit()

styles = []
for name, base, fields, added in STYLES:
    doc, size = build(base, fields, added)
    full = dict(doc, model=dict(doc["model"], **MODELS[base]))
    t = Tokenizer.from_str(json.dumps(full))
    cases = record(t)
    decode = []
    for _ in range(40):
        low = random.choice([0, 130, 3]) if base == "byte_fallback" else random.choice([0, 130])
        ids = [random.randrange(low, min(size, low + random.choice([130, 600]))) for _ in range(random.randint(1, 8))]
        decode.append({"ids": ids, "decoded": t.decode(ids, skip_special_tokens=False), "decoded_skip_special": t.decode(ids, skip_special_tokens=True)})
    styles.append({"name": name, "model": base, "tokenizer": doc, "cases": cases, "decode_cases": decode})

print('{"tokenizers": %s,\n"models": %s,\n"styles": [' % (json.dumps(tokenizers.__version__), json.dumps(MODELS)))
print(",\n".join('{"name": %s, "model": %s, "tokenizer": %s,\n "cases": [\n  %s\n ],\n "decode_cases": [\n  %s\n ]}' % (
    json.dumps(s["name"]), json.dumps(s["model"]), json.dumps(s["tokenizer"]),
    ",\n  ".join(map(json.dumps, s["cases"])), ",\n  ".join(map(json.dumps, s["decode_cases"]))) for s in styles))
print("]}")
