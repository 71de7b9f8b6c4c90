"""Where logits come from: the graph of a model of the task `classify`, or the nearness of vectors of a model for `embed`.

Both turn lines into ids (`encode`) and ids into logits (`logits`), so that a stream can do the two halves side by side.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol, cast

import numpy as np

from textkit.arguments import of_arguments
from textkit.bundle.bags import without_bag
from textkit.bundle.lookups import without_lookups
from textkit.bundle.onnxfile import keep_outputs
from textkit.errors import TextkitError, UsageError, quoted
from textkit.serving import BATCH_TOKENS, LONG_DONE, open_model
from textkit.serving.budget import Budget
from textkit.serving.machine import cpus, on_cpu
from textkit.serving.padding import padded, shortened, step_of
from textkit.serving.session import Session, of_model
from textkit.serving.spreading import Workers
from textkit.tasks.classify.serving.bags import Bags
from textkit.tasks.classify.serving.heads import Head
from textkit.text.hashed import Hashed
from textkit.text.rule import Encoded

if TYPE_CHECKING:
    from textkit.bundle.bundle import Bundle

TEMPERATURE = 0.05  # cosines are divided by it; vectors of sentences about the same thing differ by tenths

# A bag does so little for a token that what a batch costs by itself counts: with twice the tokens in a batch, lines took a
# fifth less time, and with four times as many no less.
_LIGHTER = 2

_AT_ONCE = 1024  # lines whose logits are computed together from their means


class Means(NamedTuple):
    """What a bag's graph sees of lines: vectors f32[line, column], and the lengths i64[line] of what they are the means of."""

    vectors: np.ndarray
    lengths: np.ndarray


class Read(NamedTuple):
    """Lines as ids, or as their means. `encoded`: those of the lines that are not blank; `told` i64: which lines these are;
    `lines`: how many there are in all."""

    encoded: Encoded | Means
    told: np.ndarray | None  # None: all
    lines: int


class Source(Protocol):
    """Lines to logits. `counts`: how many lines so far had more tokens than it takes (`limit`), and of how many lines that are
    not blank it saw nothing. `long`: what becomes of the former."""

    bundle: Bundle
    limit: int
    threads: int
    counts: tuple[int, int]
    long: str

    @property
    def session(self) -> Session: ...

    @property
    def light(self) -> bool:
        """Whether turning text into ids takes longer than the graph."""
        ...

    def encode(self, lines: Sequence[str]) -> Any:
        """The first half of the work."""

    def logits(self, read: Any) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """The second half: f[line, column], whether the model saw anything of each line, and whether it is blank."""


class Graph:
    """The logits of one head of a model, by its graph, which is loaded when it is first used. Can be pickled."""

    long = LONG_DONE["cut"]

    def __init__(
        self, bundle: Bundle, device: str, threads: int | None, batch_tokens: int | None, head: Head, columns: int
    ) -> None:
        """`columns`: the logits of all heads. Raises TextkitError if the graph has another number of them."""
        self.bundle, self.device, self.batch_tokens = bundle, device, batch_tokens or BATCH_TOKENS
        self._tries = batch_tokens is None  # whether a GPU's batches may grow
        self.threads = threads or cpus()
        self.head, self.columns = head, columns
        self.limit: int = bundle.manifest.limits["tokens"]
        self.counts = 0, 0
        self._sessions: dict[str, Session] = {}
        self._tables: dict[str, Mapping[str, np.ndarray]] = {}
        self._bags: dict[str, tuple[Bags, str]] = {}  # with the port of their means
        self._workers: Workers | None = None
        self._budgets: dict[str, Budget] = {}
        stated = next(port.axes[1] for port in bundle.manifest.ports("classify")[1] if port.name == "logits")
        if isinstance(stated, int) and stated != columns:
            raise TextkitError(f"{bundle.folder}: its graph gives {stated} logits, its heads have {columns} labels")

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__ | {"_sessions": {}, "_tables": {}, "_bags": {}, "_workers": None, "_budgets": {}}

    @property
    def session(self) -> Session:
        return self._session("logits")

    @property
    def light(self) -> bool:
        return self.session.device == "cpu" and (
            bool(self._tables["logits"]) or bool(self._bags) or self.bundle.manifest.text["kind"] == "fasttext"
        )

    def _session(self, output: str) -> Session:
        """The graph with only one of its outputs, because onnxruntime would compute the other as well."""
        if output not in self._sessions:
            graph = keep_outputs(self.bundle.graph("classify"), [output])
            light = self._light(graph, output) if on_cpu(self.device) else None
            graph, self._tables[output] = light or (graph, {})
            # Each thread takes one batch: see textkit.serving.spreading.
            session = Session(graph, self.device, threads=1)
            tokens = self.batch_tokens * (_LIGHTER if light else 1)
            self._budgets[output] = Budget(tokens, grows=self._tries and session.device != "cpu")
            self._sessions[output] = session
        return self._sessions[output]

    def _light(self, graph: bytes, output: str) -> tuple[bytes, Mapping[str, np.ndarray]] | None:
        """What is left of a graph when the host looks up its rows, or computes the means of a bag; None where it cannot."""
        rule, facts = self.bundle.rule, self.bundle.manifest.facts
        if isinstance(rule, Hashed) and not rule.across and output == "logits" and not facts["attends"]:
            bag = without_bag(graph, "ids", "weight")
            if bag is not None and len(bag.table) == len(rule):
                self._bags[output] = Bags(rule, bag.table, bag.scale, self.limit), bag.port
                return bag.graph, {}
        return without_lookups(graph, "ids")

    def encode(self, lines: Sequence[str]) -> Read:
        _ = self.session  # which says what is made of lines
        encode = self._means if self._bags else self.bundle.rule.encode
        if all(lines) and not any(map(str.isspace, lines)):
            return Read(encode(lines), None, len(lines))
        told = [at for at, line in enumerate(lines) if line and not line.isspace()]
        return Read(encode([lines[at] for at in told]), np.array(told, np.int64), len(lines))

    def _means(self, lines: Sequence[str]) -> Means:
        return Means(*self._bags["logits"][0].means(lines))

    def logits(self, read: Read) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        encoded, told, count = read
        seen = encoded.lengths > 0
        long, unknown = self.counts
        unseen = len(seen) - int(np.count_nonzero(seen))
        self.counts = long + int((encoded.lengths > self.limit).sum()), unknown + unseen
        found = np.zeros((len(seen), self.head.columns.stop - self.head.columns.start), np.float32)

        def take(rows: np.ndarray, given: np.ndarray) -> None:
            found[rows] = given[:, self.head.columns]

        if isinstance(encoded, Means):
            session, port = self._session("logits"), self._bags["logits"][1]
            for begin in range(0, len(seen), _AT_ONCE):
                rows = np.arange(begin, min(begin + _AT_ONCE, len(seen)))[seen[begin : begin + _AT_ONCE]]
                if len(rows):
                    take(rows, self._given(session, {port: encoded.vectors[rows]}, "logits", (len(rows), self.columns)))
        else:
            self._run(encoded, "logits", take)
        if told is None:
            return found, seen, np.zeros(count, bool)
        every, all_seen, blank = (
            np.zeros((count, found.shape[1]), np.float32),
            np.zeros(count, bool),
            np.ones(count, bool),
        )
        every[told], all_seen[told], blank[told] = found, seen, False
        return every, all_seen, blank

    def importance(self, read: Read) -> list[np.ndarray]:
        """The share of each token in its line's vector, f32[token] for each line; blank lines have none. Of a line that is too
        long only the tokens that `cut` leaves have one."""
        encoded, told, count = read
        assert isinstance(encoded, Encoded)  # a model that attends is no bag
        found: list[np.ndarray] = [np.zeros(0, np.float32)] * count
        places = range(count) if told is None else told.tolist()
        lengths = np.minimum(encoded.lengths, self.limit).tolist()

        def take(rows: np.ndarray, given: np.ndarray) -> None:
            for row, shares in zip(rows.tolist(), given, strict=True):
                found[places[row]] = shares[: lengths[row]]

        self._run(encoded, "importance", take)
        return found

    def _run(self, encoded: Encoded, output: str, take: Callable[[np.ndarray, np.ndarray], None]) -> None:
        """Gives `take` an output of the graph, batch by batch: the numbers of its lines i64[row], and the output [row, ...]."""
        encoded, starts, lengths = shortened(encoded, self.limit, self.bundle.rule.around)
        some = np.flatnonzero(lengths)
        session = self._session(output)
        step = step_of(encoded, session.attends)

        def run(batch: np.ndarray) -> None:
            rows = some[batch]
            feeds, _ = padded(encoded, starts[rows], lengths[rows], self.limit, step)
            shape = len(rows), self.columns if output == "logits" else feeds["ids"].shape[1]
            tables = self._tables[output]
            with of_model(self.bundle.folder, IndexError):
                feeds |= {name: table.take(feeds["ids"], axis=0) for name, table in tables.items()}
            take(rows, self._given(session, feeds, output, shape))

        if self._workers is None:
            self._workers = Workers(self.threads, session.device == "cpu")
        self._workers.spread(run, lengths[some], self._budgets[output], session.most_tokens)

    def _given(
        self, session: Session, feeds: Mapping[str, np.ndarray], output: str, promised: tuple[int, int]
    ) -> np.ndarray:
        """Raises TextkitError if the graph fails or gives a shape other than promised."""
        with of_model(self.bundle.folder):
            given = session.run(feeds, [output])[output]
        if given.shape != promised:
            raise TextkitError(f"{self.bundle.folder}: the model gives {output} of shape {given.shape}, not {promised}")
        return given


class Nearness:
    """The cosines of lines with descriptions of labels, by a model for `embed`. Can be pickled."""

    def __init__(
        self, model: Any, device: str, threads: int | None, batch_tokens: int | None, descriptions: Mapping[str, str]
    ) -> None:
        """`descriptions`: label -> text. Raises UsageError where there are fewer than two labels, and where the model knows no
        word of a description."""
        if len(descriptions) < 2:
            raise UsageError("--labels: one label leaves nothing to choose; two are the least")
        made = open_model(
            model, task="embed", device=device, threads=threads, normalize=True, batch_tokens=batch_tokens
        )
        self._embedder = cast(Any, made)  # of a task that this one does not know
        self.bundle: Bundle = self._embedder.bundle
        self.threads: int = self._embedder.threads
        self.limit: int = self._embedder.limit
        self.long = LONG_DONE[self._embedder.long]
        self.head = Head("", tuple(descriptions), slice(0, len(descriptions)), temperature=TEMPERATURE)
        self._texts = list(descriptions.values())
        self._vectors: np.ndarray | None = None  # f64[dim, label]

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__ | {"_vectors": None}

    @property
    def counts(self) -> tuple[int, int]:
        return self._embedder.long_lines, self._embedder.unknown_lines

    @counts.setter
    def counts(self, counts: tuple[int, int]) -> None:
        self._embedder.long_lines, self._embedder.unknown_lines = counts

    @property
    def session(self) -> Session:
        self.vectors()
        session: Session = self._embedder.session
        return session

    @property
    def light(self) -> bool:
        return False

    def vectors(self) -> np.ndarray:
        """The vectors of the descriptions, f64[dim, label]."""
        if self._vectors is None:
            counts = self.counts
            found = self._embedder(self._texts)
            self.counts = counts  # of the lines that a user gives
            for text, vector in zip(self._texts, found, strict=True):
                if not vector.any():
                    with of_arguments():
                        raise UsageError(f"--labels: the model knows no word of {quoted(text)}")
            self._vectors = found.T.astype(np.float64)
        return self._vectors

    def encode(self, lines: Sequence[str]) -> Any:
        return self._embedder.encode(lines), np.array([not line or line.isspace() for line in lines], bool)

    def logits(self, read: Any) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        encoded, blank = read
        vectors = self._embedder.vectors(encoded)
        # In f64 the result does not depend on how many lines are multiplied at once, to more digits than f32 has.
        found = (vectors.astype(np.float64) @ self.vectors()).astype(np.float32)
        return found, vectors.any(1), blank
