"""Measures the rate of a peer in its own process and environment: `python embed_peer.py PEER LINES FOLDER`.

Prints {"rate": lines per second, ...}. Models are made once and kept in FOLDER; making and loading them is not counted.
Knows no textkit, because it runs in the peers' environment.
"""

from __future__ import annotations

import json
import sys
import time
from importlib.metadata import version
from pathlib import Path


def fasttext_rate(lines: list[str], text: Path, folder: Path, ngrams: bool) -> dict[str, object]:
    """The rate of get_sentence_vector over the lines, with a 100-dimensional skip-gram model of the lines themselves."""
    import fasttext
    import numpy as np

    path = folder / f"fasttext-{'ngrams' if ngrams else 'words'}.bin"
    if not path.exists():
        options = {"model": "skipgram", "dim": 100, "epoch": 1, "thread": 2, "verbose": 0}
        sizes = {"minn": 3, "maxn": 6, "bucket": 200_000} if ngrams else {"minn": 0, "maxn": 0}
        fasttext.train_unsupervised(str(text), **options, **sizes).save_model(str(path))
    fasttext.FastText.eprint = lambda *_: None  # fastText prints a warning about its own API on every load
    model = fasttext.load_model(str(path))
    begun = time.perf_counter()
    matrix = np.array([model.get_sentence_vector(line) for line in lines])
    return {
        "rate": len(lines) / (time.perf_counter() - begun),
        "shape": matrix.shape,
        "version": version("fasttext-wheel"),
    }


def model2vec_rate(lines: list[str], text: Path, folder: Path) -> dict[str, object]:
    """The rate of encode over the lines, in one process or in several, whichever is faster.

    model2vec starts several by itself above 10,000 lines. The model has 30,000 random vectors of 256 dimensions, and a
    WordPiece tokenizer trained on the lines.
    """
    import numpy as np
    from model2vec import StaticModel
    from tokenizers import BertWordPieceTokenizer, Tokenizer

    path = folder / "wordpiece.json"
    if not path.exists():
        trained = BertWordPieceTokenizer(lowercase=True)
        trained.train_from_iterator(lines, vocab_size=30_000, min_frequency=2, show_progress=False)
        trained.save(str(path))
    tokenizer = Tokenizer.from_file(str(path))
    vectors = np.random.default_rng(0).standard_normal((tokenizer.get_vocab_size(), 256)).astype(np.float32)
    model = StaticModel(vectors, tokenizer)
    rates = {}
    for several in (False, True):
        model.encode(lines[:2000], use_multiprocessing=several)
        begun = time.perf_counter()
        matrix = model.encode(lines, use_multiprocessing=several)
        rates[several] = len(lines) / (time.perf_counter() - begun)
    return {"rate": max(rates.values()), "shape": matrix.shape, "version": version("model2vec")}


PEERS = {
    "fasttext": lambda *given: fasttext_rate(*given, ngrams=True),
    "fasttext-words": lambda *given: fasttext_rate(*given, ngrams=False),
    "model2vec": model2vec_rate,
}


def main() -> None:
    peer, text, folder = sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3])
    lines = text.read_text(encoding="utf-8").split("\n")[:-1]
    print(json.dumps(PEERS[peer](lines, text, folder)))


if __name__ == "__main__":
    main()
