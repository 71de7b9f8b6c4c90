"""Trains fastText's skip-gram with n-grams: `python fasttext_train.py JOB`, in the peers' environment; prints JSON.

fastText's one call reads the corpus, allocates two million rows and trains. The same call with no epochs is made first, and
its time is subtracted, because it does everything except the training. Knows no textkit.
"""

from __future__ import annotations

import json
import sys
import time
from importlib.metadata import version
from pathlib import Path
from typing import Any

import fasttext
import numpy as np
from fasttext.FastText import unsupervised_default


def timed(job: dict[str, Any], epochs: int) -> tuple[Any, float]:
    """The model, and the seconds that the call took. Raises RuntimeError if fastText's loss became NaN."""
    unsupervised_default["seed"] = job["seed"]  # the binding takes a seed only from here
    begun = time.perf_counter()
    model = fasttext.train_unsupervised(
        job["corpus"], model="skipgram", loss="ns", dim=job["dim"], ws=job["window"], neg=job["negative"],
        minCount=job["min_count"], minn=job["minn"], maxn=job["maxn"], bucket=job["bucket"], t=job["subsample"],
        lr=job["learning_rate"], epoch=epochs, thread=job["threads"], verbose=0,
    )  # fmt: skip
    return model, time.perf_counter() - begun


def main() -> None:
    job = json.loads(Path(sys.argv[1]).read_text())
    reading = timed(job, 0)[1]
    try:
        model, seconds = timed(job, job["epochs"])
    except RuntimeError as error:
        print(json.dumps({"error": str(error)}))
        return
    known = set(model.get_words())
    matrix = np.stack([model.get_word_vector(word) for word in job["wanted"]])
    inside = np.array([word in known for word in job["wanted"]])
    np.savez(job["output"], matrix=matrix, having=np.ones(len(inside), bool), inside=inside)
    told = {"seconds": seconds - reading, "raw_words": job["raw_words"] * job["epochs"], "reading": reading}
    print(json.dumps({**told, "vocabulary": len(known), "versions": {"fasttext-wheel": version("fasttext-wheel")}}))


if __name__ == "__main__":
    main()
