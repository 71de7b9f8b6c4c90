"""A peer of `textkit search` in its own process: `python search_peer.py WHAT FOLDER`. Knows no textkit.

bm25s-index    FOLDER/tokens.json (a list of tokens for each line) -> FOLDER/bm25s
bm25s          loads that, and answers FOLDER/query.json (a list of queries, each a list of tokens)
faiss-index    FOLDER/vectors.npy -> FOLDER/faiss
faiss          loads that, and answers FOLDER/query.npy (a vector for each query)

Prints, for each query, the numbers of its FOLDER/k best lines, as JSON.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np


def main(what: str, name: str) -> None:
    folder = Path(name)
    k = int((folder / "k").read_text())
    if what.startswith("bm25s"):
        import bm25s

        if what == "bm25s-index":
            retriever = bm25s.BM25(method="lucene", k1=1.2, b=0.75)
            retriever.index(json.loads((folder / "tokens.json").read_text()), show_progress=False)
            retriever.save(folder / "bm25s")
            return
        retriever = bm25s.BM25.load(folder / "bm25s", mmap=True)
        queries = json.loads((folder / "query.json").read_text())
        found, scores = retriever.retrieve(queries, k=k, show_progress=False, n_threads=1)
        print(json.dumps([row[score > 0].tolist() for row, score in zip(found, scores, strict=True)]))
        return
    import faiss

    if what == "faiss-index":
        vectors = np.load(folder / "vectors.npy")
        faiss.normalize_L2(vectors)
        index = faiss.IndexFlatIP(vectors.shape[1])
        index.add(vectors)
        faiss.write_index(index, str(folder / "faiss"))
        return
    index = faiss.read_index(str(folder / "faiss"))
    queries = np.load(folder / "query.npy")
    faiss.normalize_L2(queries)
    print(json.dumps(index.search(queries, k)[1].tolist()))


if __name__ == "__main__":
    main(*sys.argv[1:])
