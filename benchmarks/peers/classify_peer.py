"""Measures fastText's predict in its own process: `python classify_peer.py KIND LINES FOLDER MODEL|TRAIN.tsv`.

Prints {"rate": lines per second, ...}. A model is loaded, or trained once on label<tab>text and kept in FOLDER: `fasttext` with
words, pairs of words and n-grams of 2 to 5 characters, `fasttext-words` without the last. Knows no textkit, because it runs in
the peers' environment.
"""

from __future__ import annotations

import json
import sys
import time
from importlib.metadata import version
from pathlib import Path


def main(kind: str, text: str, folder: str, given: str) -> None:
    import fasttext

    fasttext.FastText.eprint = lambda *_: None  # fastText prints a warning about its own API on every load
    path = Path(given)
    if path.suffix == ".tsv":
        path = Path(folder, f"{kind}.bin")
        if not path.exists():
            pairs = [line.split("\t", 1) for line in Path(given).read_text(encoding="utf-8").splitlines()]
            learnt = Path(folder, "learnt.txt")
            learnt.write_text("".join(f"__label__{label} {text}\n" for label, text in pairs), encoding="utf-8")
            ngrams = {"minn": 2, "maxn": 5} if kind == "fasttext" else {}
            options = {"dim": 100, "epoch": 1, "wordNgrams": 2, "bucket": 200_000, "thread": 2, "verbose": 0}
            fasttext.train_supervised(str(learnt), **options, **ngrams).save_model(str(path))
    model = fasttext.load_model(str(path))
    lines = Path(text).read_text(encoding="utf-8").split("\n")[:-1]
    begun = time.perf_counter()
    labels, _ = model.predict(lines)
    seconds = time.perf_counter() - begun
    print(json.dumps({"rate": len(lines) / seconds, "lines": len(labels), "version": version("fasttext-wheel")}))


if __name__ == "__main__":
    main(*sys.argv[1:])
