"""Measures the rate of a peer of an encoder in its own process: `python encoder_peer.py PEER MODEL LINES OUT.npy`.

Prints {"rate": lines per second}. Loading and a first batch are not counted, nor is tokenising where PEER is onnxruntime. Knows
no textkit, because it runs in the peers' environment too.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

import numpy as np

BATCH = 32
THREADS = 2


def sentence_transformers(model: str, lines: list[str]) -> tuple[float, np.ndarray]:
    import torch
    from sentence_transformers import SentenceTransformer

    torch.set_num_threads(THREADS)
    loaded = SentenceTransformer(model, device="cpu")
    loaded.encode(lines[:BATCH])
    begun = time.perf_counter()
    vectors = loaded.encode(lines, batch_size=BATCH, show_progress_bar=False, normalize_embeddings=True)
    return time.perf_counter() - begun, vectors


def onnxruntime_alone(model: str, lines: list[str]) -> tuple[float, np.ndarray]:
    """Batches of lines of about one length through the graph `embed`; tokens beyond the model's limit are cut off."""
    import onnxruntime
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_file(f"{model}/tokenizer.json")
    tokenizer.no_padding()
    tokenizer.enable_truncation(json.loads(Path(model, "manifest.json").read_text())["limits"]["tokens"])
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = THREADS
    session = onnxruntime.InferenceSession(f"{model}/embed.onnx", options, providers=["CPUExecutionProvider"])
    encoded = [found.ids for found in tokenizer.encode_batch(lines)]
    order = sorted(range(len(lines)), key=lambda at: len(encoded[at]))
    how = {"pool": np.array(0), "normalize": np.array(True)}  # the mean over tokens
    batches = []
    for start in range(0, len(order), BATCH):
        rows = order[start : start + BATCH]
        longest = max(len(encoded[at]) for at in rows)
        ids = np.zeros((len(rows), longest), np.int64)
        weight = np.zeros((len(rows), longest), np.float32)
        for row, at in enumerate(rows):
            ids[row, : len(encoded[at])] = encoded[at]
            weight[row, : len(encoded[at])] = 1
        batches.append((rows, {"ids": ids, "weight": weight, **how}))
    session.run(["vector"], batches[0][1])
    vectors = np.zeros((len(lines), session.get_outputs()[0].shape[-1]), np.float32)
    begun = time.perf_counter()
    for rows, feeds in batches:
        vectors[rows] = session.run(["vector"], feeds)[0]
    return time.perf_counter() - begun, vectors


def main(peer: str, model: str, lines: str, out: str) -> None:
    texts = Path(lines).read_text(encoding="utf-8").split("\n")[:-1]
    measure = {"sentence-transformers": sentence_transformers, "onnxruntime": onnxruntime_alone}[peer]
    seconds, vectors = measure(model, texts)
    np.save(out, vectors)
    print(json.dumps({"rate": len(texts) / seconds}))


if __name__ == "__main__":
    main(*sys.argv[1:])
