"""A training by either side: what it cost, and how good its vectors are, measured by the same evaluation code for both.

textkit trains as for a user, by `textkit train` in a separate process. A peer trains by a script under peers/ in the peers'
Python. Knows no plugin and no peer by name.
"""

from __future__ import annotations

import gzip
import json
import statistics
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from measuring.cost import Failed, cost
from textkit.exporting.export import export
from textkit.tasks.embed.evaluation import data, similarity
from textkit.tasks.embed.evaluation.similarity import Pairs
from textkit.tasks.embed.evaluation.vocabulary import Vocabulary
from textkit.tasks.embed.serving.embedder import Embedder
from textkit.training.run import Run

PEERS = Path(__file__).resolve().parents[1] / "peers"
# Words are split at spaces and not changed, because the peers can do nothing else.
AS_IT_IS = {"punctuation": "keep", "lowercase": "false", "unicode": "none"}

Vectors = Callable[[list[str]], tuple[np.ndarray, np.ndarray, np.ndarray]]  # as Vocabulary.vectors


@dataclass(frozen=True)
class Corpus:
    """A text file of words separated by spaces, and the number of its words."""

    path: Path
    words: int

    @classmethod
    def write(cls, source: Path, path: Path, part: int = 1) -> Corpus:
        """Writes WikiText-2 from `source` to `path`, lower-cased and without <unk>; with `part` = n only every n-th line."""
        total = 0
        with gzip.open(source, "rt", encoding="utf-8") as lines, path.open("w", encoding="utf-8") as out:
            for number, line in enumerate(lines):
                words = [word for word in line.lower().split() if word != "<unk>"]
                if words and number % part == 0:
                    total += len(words)
                    out.write(" ".join(words) + "\n")
        return cls(path, total)


@dataclass(frozen=True)
class Trained:
    """The results of a training: `rate` in raw words/s of its loop, `seconds` of its whole process, `rho` on WordSim-353.

    `rate` and `rho` are NaN if they were not measured. `detail` holds everything else to report.
    """

    rate: float
    seconds: float
    peak_mb: float
    rho: float
    detail: Mapping[str, Any]


def textkit(
    plugin: str,
    corpus: Corpus,
    folder: Path,
    settings: Mapping[str, Any],
    pairs: Pairs | None = None,
    *,
    seed: int = 1,
    threads: int = 2,
    device: str = "cpu",
    environment: Mapping[str, str] | None = None,
) -> Trained:
    """Trains by `textkit train` into `folder`/run; with `pairs`, exports the result and measures its similarity scores."""
    run = folder / "run"
    options = [f"--set={key}={value}" for key, value in {**AS_IT_IS, "log_seconds": 0, **settings}.items()]
    command = [sys.executable, "-m", "textkit", "train", plugin, corpus.path, "-o", run, *options, "-q"]
    spent = cost(
        [*command, "--seed", str(seed), "--threads", str(threads), "--device", device],
        {**limited(threads), **(environment or {})},
    )
    facts = json.loads((run / "run.json").read_text())["facts"]
    events = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    detail = {"epochs": epoch_seconds(events), "device": facts["device"], "first": first_seconds(events)}
    rho = float("nan")
    if pairs is not None:
        with_vectors = Vocabulary(Embedder(export(Run.open(run), folder / "exported", name="trained"), device="cpu"))
        detail["vocabulary"] = len(with_vectors.words)
        rho = spearman(pairs, with_vectors.vectors)
    return Trained(rate(events, corpus.words * facts["epochs"]), spent.seconds, spent.peak_mb, rho, detail)


def rate(events: Sequence[Mapping[str, Any]], raw: int) -> float:
    """Raw words/s of the loop, from the end of the first batch to the end of the last; `raw` words in all.

    textkit logs only the words that it trains on, which are in the vocabulary. Peers count every word of the text, so the
    rate is scaled to that. NaN if the plugin logs no words, or if the training ended before anything could be measured.
    """
    steps = [event for event in events if event["event"] == "progress"]
    if len(steps) < 2 or not steps[-1]["words"] or steps[-1]["seconds"] <= steps[0]["seconds"]:
        return float("nan")
    words = steps[-1]["words"] - steps[0]["words"] or float("nan")
    return words / (steps[-1]["seconds"] - steps[0]["seconds"]) * raw / steps[-1]["words"]


def first_seconds(events: Sequence[Mapping[str, Any]]) -> float:
    """Seconds until the end of the first batch: turning the text into ids (or counts) and loading kernels."""
    return next((event["seconds"] for event in events if event["event"] == "progress"), float("nan"))


def epoch_seconds(events: Sequence[Mapping[str, Any]]) -> list[float]:
    """Seconds of each epoch except the first, which includes reading the text."""
    ends = [event["seconds"] for event in events if event["event"] == "epoch"]
    return [round(end - begin, 3) for begin, end in zip(ends, ends[1:], strict=False)]


def peer(python: str, script: str, job: Mapping[str, Any], folder: Path, pairs: Pairs) -> Trained:
    """Runs peers/`script` with `job` in the peers' Python; the script writes vectors of the pairs' words and prints JSON.

    Raises Failed if the script fails or prints {"error": ...}.
    """
    words, written, job_file = list(dict.fromkeys(pairs.first + pairs.second)), folder / "vectors.npz", folder / "job"
    job_file.write_text(json.dumps({**job, "wanted": words, "output": str(written)}))
    spent = cost([python, PEERS / script, job_file], limited(job["threads"]))
    told = json.loads(spent.stdout.strip().split("\n")[-1])
    if "error" in told:
        raise Failed(told["error"])
    with np.load(written) as arrays:
        matrix, having, inside = arrays["matrix"], arrays["having"], arrays["inside"]
    place = {word: at for at, word in enumerate(words)}

    def vectors(asked: list[str]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        at = [place[word] for word in asked]
        return matrix[at], having[at], inside[at]

    rho = spearman(pairs, vectors)
    return Trained(told["raw_words"] / told["seconds"], spent.seconds, spent.peak_mb, rho, told)


def word_pairs(path: Path) -> Pairs:
    """WordSim-353, lower-cased like the corpus."""
    _, pairs = data.read(path, similarity.WORDS)
    return Pairs([word.lower() for word in pairs.first], [word.lower() for word in pairs.second], pairs.scores)


def spearman(pairs: Pairs, vectors: Vectors) -> float:
    """Spearman's rho over the pairs whose words both have a vector."""
    value = similarity.evaluate_words(pairs, vectors, name="WordSim-353").value
    return float("nan") if value is None else value


def limited(threads: int) -> dict[str, str]:
    """Environment variables with which numerical libraries start at most `threads` threads."""
    names = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
    return dict.fromkeys(names, str(threads))


def median(values: Sequence[float]) -> float:
    """The median of the values that are not NaN; NaN if there are none."""
    found = [value for value in values if value == value]
    return statistics.median(found) if found else float("nan")
