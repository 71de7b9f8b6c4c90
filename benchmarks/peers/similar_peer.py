"""Measures a peer of `textkit similar` in its own process: `python similar_peer.py PEER LINES VECTORS.npy OUT THRESHOLD
THREADS`.

Writes the dropped texts to OUT, and prints [seconds, seconds of processors] of what is measured: not the imports and the
reading. Knows no textkit, because it runs in the peers' environment.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

import numpy as np


def semhash(lines: list[str], vectors: np.ndarray, threshold: float, threads: int) -> tuple[list[float], list[str]]:
    from semhash import SemHash

    begun, used = time.perf_counter(), time.process_time()
    found = SemHash.from_embeddings(vectors, lines, model=None).self_deduplicate(threshold=threshold)  # type: ignore[arg-type]
    spent = [time.perf_counter() - begun, time.process_time() - used]
    return spent, [duplicate.record for duplicate in found.filtered]


def faiss_flat(lines: list[str], vectors: np.ndarray, threshold: float, threads: int) -> tuple[list[float], list[str]]:
    import faiss

    faiss.omp_set_num_threads(threads)
    begun, used = time.perf_counter(), time.process_time()
    faiss.normalize_L2(vectors)
    index = faiss.IndexFlatIP(vectors.shape[1])
    index.add(vectors)
    gone = set()
    for start in range(0, len(vectors), 4096):
        limits, _, near = index.range_search(vectors[start : start + 4096], threshold)
        for at in range(len(limits) - 1):
            if (near[limits[at] : limits[at + 1]] < start + at).any():
                gone.add(start + at)
    spent = [time.perf_counter() - begun, time.process_time() - used]
    return spent, [lines[at] for at in sorted(gone)]


def main(peer: str, text: str, vectors: str, out: str, threshold: str, threads: str) -> None:
    lines = Path(text).read_text(encoding="utf-8").split("\n")[:-1]
    measured = {"semhash": semhash, "faiss-flat": faiss_flat}[peer]
    spent, gone = measured(lines, np.load(vectors), float(threshold), int(threads))
    Path(out).write_text("".join(f"{line}\n" for line in gone), encoding="utf-8")
    print(json.dumps(spent))


if __name__ == "__main__":
    main(*sys.argv[1:])
