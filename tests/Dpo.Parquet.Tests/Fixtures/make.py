import pyarrow as pa, pyarrow.parquet as pq
message = pa.struct([("content", pa.string()), ("role", pa.string())])
messages = pa.list_(message)
def chat(q, a): return [{"content": q, "role": "user"}, {"content": a, "role": "assistant"}]
rows = [dict(prompt=f"question {i % 3} ü😀", prompt_id=f"{i:04x}", chosen=chat(f"question {i % 3} ü😀", f"good answer {i}"),
             rejected=chat(f"question {i % 3} ü😀", f"bad answer {i}"), score_chosen=8.0 + i / 4, score_rejected=float(i)) for i in range(7)]
rows[3]["rejected"] = rows[3]["chosen"]
rows[5]["score_chosen"] = None
schema = pa.schema([("prompt", pa.string()), ("prompt_id", pa.string()), ("chosen", messages), ("rejected", messages), ("score_chosen", pa.float64()), ("score_rejected", pa.float64())])
table = pa.Table.from_pylist(rows, schema)
pq.write_table(table.slice(0, 4), "train_prefs-00000-of-00002.parquet", compression="snappy", row_group_size=3)
pq.write_table(table.slice(4), "train_prefs-00001-of-00002.parquet", compression="zstd", use_dictionary=False)
ranked = pa.table({
    "prompt": pa.array(["a", None, "c", "d"]),
    "completions": pa.array([["x", "y", "z"], ["x", "y"], [], None], pa.list_(pa.string())),
    "ranking": pa.array([[2, 0, 1], None, [0], [1, 0]], pa.list_(pa.int32())),
    "extra": pa.array([{"a": 1}] * 4),
})
pq.write_table(ranked, "ranked.parquet", compression="gzip")
info = pa.struct([("id", pa.string()), ("post", pa.string()), ("title", pa.string()), ("subreddit", pa.string()), ("site", pa.string())])
summaries = pa.list_(pa.struct([("text", pa.string()), ("policy", pa.string()), ("note", pa.string())]))
tldr = pa.Table.from_pylist([dict(info=dict(id="t3", post="My cat sat down.", title="Cat", subreddit="aww", site=None),
    summaries=[dict(text=" It stood.", policy="sup1", note=None), dict(text=" It sat.", policy="ref", note=None)], choice=1, worker="w")],
    pa.schema([("info", info), ("summaries", summaries), ("choice", pa.int32()), ("worker", pa.string())]))
pq.write_table(tldr, "comparisons.parquet", compression="none")
unpaired = pa.Table.from_pylist([dict(prompt=[dict(content="q", role="user")], completion=[dict(content="a", role="assistant")], label=i == 0) for i in range(2)],
    pa.schema([("prompt", messages), ("completion", messages), ("label", pa.bool_())]))
pq.write_table(unpaired, "unpaired.parquet")
pq.write_table(pa.table({"text": ["Fine.<br /><br />Really.", "Poor."], "label": pa.array([1, 0], pa.int64())}), "imdb.parquet")
print(pa.__version__)
