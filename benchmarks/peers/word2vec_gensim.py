"""Trains gensim's word2vec on a corpus: `python word2vec_gensim.py JOB`, in the peers' environment; prints JSON.

Only model.train is timed; the vocabulary is built before. Knows no textkit.
"""

from __future__ import annotations

import json
import sys
import time
from importlib.metadata import version
from pathlib import Path
from typing import Any

import gensim
import numpy as np
from gensim.models import Word2Vec
from gensim.models.word2vec import FAST_VERSION


def trained(job: dict[str, Any]) -> tuple[Word2Vec, dict[str, Any]]:
    """The model and the measurements. `mode`: file (gensim's threads read it) | list (all sentences in memory)."""
    model = Word2Vec(
        vector_size=job["dim"], window=job["window"], negative=job["negative"], min_count=job["min_count"], sg=1, hs=0,
        sample=job["subsample"], alpha=job["learning_rate"], workers=job["threads"], seed=job["seed"],
    )  # fmt: skip
    if job["mode"] == "file":
        source: dict[str, Any] = {"corpus_file": job["corpus"]}
    else:
        with Path(job["corpus"]).open(encoding="utf-8") as lines:
            source = {"corpus_iterable": [line.split() for line in lines]}
    model.build_vocab(**source)
    totals = {"total_words": model.corpus_total_words, "total_examples": model.corpus_count}
    begun = time.perf_counter()
    model.train(**source, **totals, epochs=job["epochs"])
    seconds = time.perf_counter() - begun
    return model, {"seconds": seconds, "raw_words": model.corpus_total_words * job["epochs"]}


def main() -> None:
    job = json.loads(Path(sys.argv[1]).read_text())
    model, told = trained(job)
    words = model.wv.key_to_index
    inside = np.array([word in words for word in job["wanted"]])
    matrix = np.zeros((len(inside), job["dim"]), np.float32)
    matrix[inside] = [model.wv[word] for word in job["wanted"] if word in words]
    np.savez(job["output"], matrix=matrix, having=inside, inside=inside)
    model.save(job["output"] + ".gensim")  # because textkit's process saves its weights too
    versions = {"gensim": gensim.__version__, "numpy": np.__version__, "scipy": version("scipy")}
    print(json.dumps({**told, "vocabulary": len(words), "versions": versions, "compiled": FAST_VERSION >= 0}))


if __name__ == "__main__":
    main()
