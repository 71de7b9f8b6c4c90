"""Lines -> vectors, with an exported model of the task `embed`. Knows the graph's ports; no file format, no torch.

A line is its ids, each with a weight. Lines of a batch are padded with id 0 of weight 0, so that a line's vector does not
depend on what shares its batch.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from textkit.arguments import of_arguments
from textkit.errors import TextkitError, UsageError, nearest
from textkit.serving import BATCH_TOKENS, LONG, Long
from textkit.serving.budget import Budget
from textkit.serving.machine import cpus
from textkit.serving.opened import OpenModel
from textkit.serving.padding import left, padded, parts, shared_parts, shortened, step_of
from textkit.serving.session import Session, of_model
from textkit.serving.spreading import Workers
from textkit.tasks.embed.serving.word_pooling import max_of_words
from textkit.tasks.embed.task import OWN, POOLINGS, PORT, QUERY, SIDES, TASK, Side
from textkit.text.rule import Encoded

if TYPE_CHECKING:
    from textkit.bundle.bundle import Bundle
    from textkit.text.words import Words

_PLAIN = {"pool": np.array(0), "normalize": np.array(False)}  # for runs that ask for `tokens`, not `vector`
_TINY = np.float32(np.finfo(np.float32).tiny)


class Embedder(OpenModel[np.ndarray]):
    """list[str] -> f32[line, dim]; a whitespace-only line gives the zero vector. Can be pickled; the graph loads on first use.

    `long_lines` counts the lines so far that had more tokens than the model takes (`limits.tokens` of its manifest),
    and `unknown_lines` the lines that are not blank but have no token that it knows: they give zero vectors too.
    """

    task = "embed"
    loaded = ("_session", "_workers", "_budget")

    def __init__(
        self,
        model: str | Path | Bundle | None = None,
        device: str = "auto",
        threads: int | None = None,
        pooling: str | None = None,
        normalize: bool | None = None,
        batch_tokens: int | None = None,
        long: Long | None = None,
        side: Side = "document",
    ) -> None:
        """`model`: a name, a folder or a Bundle; None: the default. `pooling` (mean, max, sif, fasttext, and model, where the
        model has a vector of its own for a line), `normalize` (to length 1) and `long` are the model's own where they are None.
        `long`: how a line that is too long is embedded: `split`, as the mean of its parts by weight (with max, their maximum),
        or `cut`, as its beginning. A model that says nothing splits.
        `side`: what the lines are, for a model that embeds queries and documents by a network each (`two_sided`); any other
        embeds both alike.

        Raises UsageError for an unknown model or option, TextkitError for a model that is damaged or of another task.
        """
        self.open(model)
        manifest = self.bundle.manifest
        if manifest.dim is None:
            raise TextkitError(f"{self.bundle.folder}: its manifest states no 'dim'")
        self.dim: int = manifest.dim
        self.limit: int = manifest.limits["tokens"]
        own = {**TASK.defaults, **manifest.defaults}
        self.pooling: str = own["pooling"] if pooling is None else pooling
        self.normalize = bool(own["normalize"] if normalize is None else normalize)
        self.long: str = own.get("long", "split") if long is None else long
        self.side, self.two_sided = side, QUERY in manifest.graphs
        for option, value, known in (
            ("pooling", self.pooling, POOLINGS),
            ("long", self.long, LONG),
            ("side", side, SIDES),
        ):
            if value not in known:
                raise UsageError(f"unknown {option} {value!r}{nearest(str(value), known)}")
        if self.pooling == OWN and not manifest.facts.get("pools"):
            others = ", ".join(name for name in POOLINGS if name != OWN)
            with of_arguments():
                raise UsageError(
                    f"--pooling {OWN}: {manifest.name} has no vector of its own for a line; there is {others}"
                )
        if batch_tokens is not None and batch_tokens < 1:
            raise UsageError(f"batch_tokens={batch_tokens}: must be at least 1")
        self.device, self.threads, self.batch_tokens = device, threads or cpus(), batch_tokens or BATCH_TOKENS
        self._tries = batch_tokens is None  # whether a GPU's batches may grow
        self.long_lines = self.unknown_lines = 0
        self._session: Session | None = None
        self._workers: Workers | None = None
        self._budget: Budget | None = None

    def answer(self, lines: Sequence[str], first: int = 0) -> np.ndarray:  # type: ignore[override]  # rows, in an array
        """The vector of each line, f32[line, dim]."""
        return self.vectors(self.encode(lines))

    @property
    def session(self) -> Session:
        """The loaded graph. `session.device` is the device that it actually runs on."""
        if self._session is None:
            # Each thread takes one batch. onnxruntime's own threads, which share a batch, spin while they wait: for a graph
            # as light as a table of vectors they cost twice the time and gained nothing.
            graph = QUERY if self.two_sided and self.side == QUERY else "embed"
            self._session = Session(self.bundle.graph(graph), self.device, threads=1)
        return self._session

    def encode(self, lines: Sequence[str]) -> Encoded:
        """The lines as ids, the first half of the work. Blank lines have no ids, whatever the tokenizer would make of them."""
        rule = self._classifier()
        if rule is None:
            return self._encoded(lines, self.bundle.rule.encode)
        from textkit.tasks.embed.serving.fasttext_pooling import classified

        return self._encoded(lines, partial(classified, rule))

    def _classifier(self) -> Words | None:
        """The rule, where a line's vector is computed as by a fastText classifier; otherwise None."""
        if self.pooling != "fasttext":
            return None
        from textkit.tasks.embed.serving.fasttext_pooling import is_classifier  # most models never need it

        rule = self.bundle.rule
        return rule if is_classifier(rule, self.bundle.folder) else None

    def _encoded(self, lines: Sequence[str], encode: Callable[[Sequence[str]], Encoded]) -> Encoded:
        told = [not line or line.isspace() for line in lines]
        if not any(told):
            encoded = encode(lines)
            self.unknown_lines += len(lines) - int(np.count_nonzero(encoded.lengths))
            return encoded
        told = [empty and self._is_blank(line) for line, empty in zip(lines, told, strict=True)]
        blank = np.array(told)
        encoded = encode([line for line, empty in zip(lines, told, strict=True) if not empty])
        self.unknown_lines += len(encoded.lengths) - int(np.count_nonzero(encoded.lengths))
        lengths = np.zeros(len(lines), np.int64)
        lengths[~blank] = encoded.lengths
        return Encoded(encoded.ids, lengths, encoded.weight, encoded.spans)

    def _is_blank(self, line: str) -> bool:
        """Whether a line is empty or holds only white space, none of which is a word of the table."""
        return not line or (line.isspace() and self.bundle.rule.is_blank(line))

    def vectors(self, encoded: Encoded) -> np.ndarray:
        """The vector of each line of `encoded`, f32[line, dim], the second half of the work. A line without ids is zero."""
        too_long = encoded.lengths > self.limit
        self.long_lines += int(too_long.sum())
        lengths = encoded.lengths
        starts = np.cumsum(lengths) - lengths
        if self.long == "cut":
            encoded, starts, lengths = shortened(encoded, self.limit, self.bundle.rule.around)
            too_long = np.zeros(len(lengths), bool)
        if self.pooling == "fasttext" and self._classifier() is None:
            from textkit.tasks.embed.serving.fasttext_pooling import means_of_units

            vectors = means_of_units(encoded, starts, lengths, self)
            return _unit(vectors) if self.normalize else vectors
        whole = np.flatnonzero((lengths > 0) & ~too_long)
        if len(whole) == len(lengths):
            return self._pooled(encoded, starts, lengths, self.normalize)
        vectors = np.zeros((len(lengths), self.dim), np.float32)
        vectors[whole] = self._pooled(encoded, starts[whole], lengths[whole], self.normalize)
        for line in np.flatnonzero(too_long):
            vectors[line] = self._of_parts(encoded, int(starts[line]), int(lengths[line]))
        return vectors

    def tokens(self, lines: Sequence[str]) -> list[list[tuple[str, np.ndarray]]]:
        """Each line's tokens with their vectors f32[dim]; a token without ids (an unknown word) has the zero vector."""
        encoded = self._encoded(lines, self.bundle.rule.encode)
        if self.long == "cut":
            encoded, _, _ = shortened(encoded, self.limit, self.bundle.rule.around)
        starts = np.cumsum(encoded.lengths) - encoded.lengths
        found: list[list[tuple[str, int, int]]] = []
        for line, start in zip(lines, starts.tolist(), strict=True):
            words = self.bundle.rule.tokens(line) if not self._is_blank(line) else []
            if self.long == "cut":
                words = left(words, self.limit, self.bundle.rule.around)
            found.append([(word, start + first, start + last) for word, first, last in words])
        spans = np.array([word[1:] for words in found for word in words], np.int64).reshape(-1, 2)
        vectors = np.zeros((len(spans), self.dim), np.float32)
        spelled = np.flatnonzero(spans[:, 1] > spans[:, 0])
        if len(spelled):
            # reduceat also sums what lies between two spans (the end of a line that is cut); [::2] leaves it out.
            edges = np.append(spans[spelled].ravel(), len(encoded.ids))
            rows = np.append(self._rows(encoded), np.zeros((1, self.dim), np.float32), axis=0)
            vectors[spelled] = np.add.reduceat(rows, edges[:-1], axis=0)[::2]
        vectors = _unit(vectors) if self.normalize else vectors
        each = iter(vectors)
        return [[(word, next(each)) for word, _, _ in words] for words in found]

    def words(self) -> list[str]:
        """The words of the vocabulary, in the order of `matrix`."""
        return self.bundle.rule.vocabulary()[0]

    def matrix(self) -> np.ndarray:
        """The vector of every word of the vocabulary, f32[word, dim], not normalised."""
        ids = self.bundle.rule.vocabulary()[1]
        ones = np.ones(len(ids), np.int64)
        return self._pooled(Encoded(ids, ones), np.arange(len(ids)), ones, False, "mean")

    def _of_parts(self, encoded: Encoded, start: int, length: int) -> np.ndarray:
        """The vector f32[dim] of a line that is longer than the model takes."""
        encoded, starts, lengths, shares = shared_parts(encoded, start, length, self.limit, self.bundle.rule.around)
        vectors = self._pooled(encoded, starts, lengths, False)  # [part, dim]
        if self.pooling == "max":
            vector = vectors.max(axis=0, keepdims=True)
        else:
            vector = (shares / shares.sum()) @ vectors.astype(np.float64)
            vector = vector[None].astype(np.float32)
        only: np.ndarray = (_unit(vector) if self.normalize else vector)[0]
        return only

    def _pooled(
        self, encoded: Encoded, starts: np.ndarray, lengths: np.ndarray, normalize: bool, pooling: str | None = None
    ) -> np.ndarray:
        """The vectors f32[part, dim] of the parts of the flat ids that begin at `starts` and have `lengths` > 0 ids."""
        pooling = pooling or self.pooling
        vectors = np.empty((len(starts), self.dim), np.float32)
        spelled = np.zeros(len(starts), bool)
        if pooling == "max" and encoded.weight is not None:
            before = np.append(0, np.cumsum(encoded.weight != 1))
            spelled = before[starts + lengths] > before[starts]
            rows = np.flatnonzero(spelled)
            highest = max_of_words(encoded, starts[rows], lengths[rows], self)
            vectors[rows] = _unit(highest) if normalize else highest
        pool = PORT.index("mean" if pooling == "fasttext" else pooling)  # a classifier: its ids carry the weights
        options = {"pool": np.array(pool), "normalize": np.array(normalize)}
        plain = np.flatnonzero(~spelled)
        step = step_of(encoded, self.session.attends and pooling != "sif")

        def run(batch: np.ndarray) -> None:
            rows = plain[batch]
            feeds, _ = padded(encoded, starts[rows], lengths[rows], self.limit, step)
            vectors[rows] = self._run(feeds | options, "vector")

        self.spread(run, lengths[plain], self.session.most_tokens)
        return vectors

    def _run(self, feeds: Mapping[str, np.ndarray], port: str) -> np.ndarray:
        """One output of the graph. Raises TextkitError if it fails or gives a shape other than promised."""
        with of_model(self.bundle.folder):
            given = self.session.run(feeds, [port])[port]
        lines, tokens = feeds["ids"].shape
        promised = (lines, self.dim) if port == "vector" else (lines, tokens, self.dim)
        if given.shape != promised:
            raise TextkitError(f"{self.bundle.folder}: the model gives {port} of shape {given.shape}, not {promised}")
        return given

    def spread(self, run: Callable[[np.ndarray], None], lengths: np.ndarray, most: int = sys.maxsize) -> None:
        """Run each batch of parts of these `lengths`: one after the other if they are quick, otherwise several at a time.
        `most`: padded tokens that no batch exceeds."""
        on_cpu = self.session.device == "cpu"
        if self._workers is None:
            self._workers = Workers(self.threads, on_cpu)
        if self._budget is None:
            self._budget = Budget(self.batch_tokens, grows=self._tries and not on_cpu)
        self._workers.spread(run, lengths, self._budget, most)

    def _rows(self, encoded: Encoded) -> np.ndarray:
        """The graph's vector of each id times its weight, f32[total, dim]. The parts of a long line are run separately."""
        starts, lengths = np.cumsum(encoded.lengths) - encoded.lengths, encoded.lengths
        too_long = np.flatnonzero(lengths > self.limit)
        self.long_lines += len(too_long)
        cuts = [parts(encoded, int(starts[line]), int(lengths[line]), self.limit) for line in too_long]
        whole = (lengths > 0) & (lengths <= self.limit)
        starts = np.concatenate([starts[whole], *(cut[0] for cut in cuts)])
        lengths = np.concatenate([lengths[whole], *(cut[1] for cut in cuts)])
        rows = np.zeros((len(encoded.ids), self.dim), np.float32)

        def run(part: np.ndarray) -> None:
            places, weighted = self.weighted(encoded, starts[part], lengths[part])
            rows[places] = weighted

        self.spread(run, lengths)
        return rows

    def weighted(self, encoded: Encoded, starts: np.ndarray, lengths: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The places i64[id] of a batch's ids, end to end, and the graph's vector of each times its weight, f32[id, dim]."""
        feeds, places = padded(encoded, starts, lengths, self.limit)
        tokens = self._run(feeds | _PLAIN, "tokens")  # [line, token, dim]
        real = np.arange(places.shape[1]) < lengths[:, None]  # [line, token]
        return places[real], tokens[real] * feeds["weight"][real][:, None]  # [id], [id, dim]


def _unit(vectors: np.ndarray) -> np.ndarray:
    """Each row scaled to length 1, f32[row, dim]; a zero row stays zero."""
    scaled: np.ndarray = vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), _TINY)
    return scaled
